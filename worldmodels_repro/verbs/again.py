"""For those who doubt a score: the agent plays its held-out episodes again.

The second judgement is a run folder of its own, ``again/``, that borrows V, M and C, so that an
interrupted one goes on, and what stands in ``evaluate/`` stays as it is.
"""

from __future__ import annotations

import shutil

from worldmodels_repro.config import check_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.report import judgement
from worldmodels_repro.run import Run
from worldmodels_repro.stages import evaluate
from worldmodels_repro.statistics import summary


def run(stage_run: Run) -> None:
    """Judge the agent again, and print what was written beside what it scores now.

    Raises:
        UserError: the run has no evaluation of these tracks, or the new mean lies outside the
            95 % interval of what was written.
    """
    before = _scores(stage_run)
    values = stage_run.config.plain()
    values["evaluate"]["random_episodes"] = 0
    inner = Run(stage_run.path / "again", check_config(values, "again"))
    if inner.is_done("evaluate"):
        shutil.rmtree(inner.folder("evaluate"))
    inner.borrow(stage_run, "vae", "memory", inner.config.controller.stage)
    evaluate.run(inner)
    now = _scores(inner)
    if not now.keys() <= before.keys():
        raise UserError(f"{stage_run.path} was judged on other tracks: leave evaluate.seed and "
                        "evaluate.episodes as they were")
    then = summary([before[seed] for seed in now])
    low, high = then["ci95"]
    mean = summary(list(now.values()))["mean"]
    same = sum(before[seed] == score for seed, score in now.items())
    print(f"written: {then['mean']:.1f} [{low:.1f}, {high:.1f}]; again: {mean:.1f}, "
          f"{same} of {len(now)} episodes to the last digit")
    if not low <= mean <= high:
        raise UserError(f"{mean:.1f} lies outside the interval: compare what worldmodels doctor "
                        f"says with the versions in {stage_run.folder('evaluate')}/evaluation.json")


def _scores(judged: Run) -> dict[int, float]:
    """The agent's scores by the seeds of their tracks."""
    return {row["seed"]: row["score"]
            for row in judgement.table(judged)["episodes"]["agent"]}
