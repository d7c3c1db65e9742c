"""For those who doubt a score: the agent plays its held-out episodes again.

The second judgement is a run folder of its own, ``again/``, that borrows V, M and C, so that an
interrupted one goes on, and what stands in ``evaluation/`` stays as it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from worldmodels_repro.config import check_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.records import Judgement
from worldmodels_repro.run import Run
from worldmodels_repro.stages import evaluate
from worldmodels_repro.statistics import summary
from worldmodels_repro.storage import load_json


def run(stage_run: Run) -> None:
    """Judge the agent again, and print what was written beside what it scores now.

    Raises:
        UserError: the run has no evaluation of these tracks, or the new mean lies outside the
            95 % interval of what was written.
    """
    written = stage_run.folder("evaluate") / "evaluation.json"
    if not written.exists():
        raise UserError(f"{stage_run.path} has no evaluation yet: type "
                        f"worldmodels evaluate --run {stage_run.path}")
    values = stage_run.config.plain()
    values["evaluate"]["random_episodes"] = 0
    inner = Run(stage_run.path / "again", check_config(values, "again"))
    if inner.is_done("evaluate"):
        shutil.rmtree(inner.folder("evaluate"))
    inner.borrow(stage_run, "vae", "memory", "evolve")
    evaluate.run(inner)
    before = _scores(written)
    now = _scores(inner.folder("evaluate") / "evaluation.json")
    if not now.keys() <= before.keys():
        raise UserError(f"{written} is of other tracks: leave evaluate.seed and evaluate.episodes "
                        "as they were")
    then = summary([before[seed] for seed in now])
    low, high = then["ci95"]
    mean = summary(list(now.values()))["mean"]
    same = sum(before[seed] == score for seed, score in now.items())
    print(f"written: {then['mean']:.1f} [{low:.1f}, {high:.1f}]; again: {mean:.1f}, "
          f"{same} of {len(now)} episodes to the last digit")
    if not low <= mean <= high:
        raise UserError(f"{mean:.1f} lies outside the interval: compare what worldmodels doctor "
                        f"says with the versions in {written}")


def _scores(evaluation: Path) -> dict[int, float]:
    """The agent's scores by the seeds of their tracks."""
    return {row["seed"]: row["score"]
            for row in load_json(evaluation, Judgement)["episodes"]["agent"]}
