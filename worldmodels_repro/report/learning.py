"""How a learner's episodes and its evaluations went."""

from __future__ import annotations

import math

import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.records import LearningEpisode
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_csv, load_json_lines, needed
from worldmodels_repro.tables import Learning

LATELY = 100  # episodes


def learning(run: Run) -> Learning:
    """Every episode's score, the mean of the last hundred, and the evaluations.

    Raises:
        UserError: nothing was learnt yet.
    """
    folder, settings = run.folder("learn"), run.config.learn
    needed(folder / "history.csv", "learn")
    rows = load_json_lines(folder / "episodes.jsonl", LearningEpisode)
    total = np.concatenate([[0.0], np.cumsum([row["score"] for row in rows])])
    ends = np.arange(1, len(rows) + 1)
    starts = np.maximum(0, ends - LATELY)
    return {"step": [row["step"] for row in rows], "score": [row["score"] for row in rows],
            "lately": ((total[ends] - total[starts]) / (ends - starts)).tolist(),
            "validations": [
                {"step": row["step"], "mean": row["mean"],
                 "interval": 1.96 * row["std"] / math.sqrt(settings.evaluate_rollouts)}
                for row in load_csv(folder / "history.csv", "step", "mean", "std")],
            "world": run.config.evolve.world, "solved": game_named(run.config.game).solved}
