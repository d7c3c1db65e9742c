"""How a population and its mean fared, generation by generation."""

from __future__ import annotations

import math

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.records import Evaluation
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_csv, load_json_lines, needed
from worldmodels_repro.tables import Generations


def generations(run: Run) -> Generations:
    """Best, mean and worst return of each generation, and the search's mean on seeds of its own.

    Intervals are normal, of the mean over a validation's episodes.

    Raises:
        UserError: no generation has been played.
    """
    folder = run.folder("evolve")
    path = needed(folder / "generations.csv", "evolve")
    rows = load_csv(path, "generation", "best", "mean", "std", "worst", "steps", "hours")
    if not rows:
        raise UserError(f"{path} holds no generation yet")
    return {"generation": [row["generation"] for row in rows],
            "best": [row["best"] for row in rows], "mean": [row["mean"] for row in rows],
            "std": [row["std"] for row in rows], "worst": [row["worst"] for row in rows],
            "steps": [row["steps"] for row in rows],
            "hours": [row["hours"] for row in rows],
            "validations": [
                {"generation": row["generation"], "mean": row["mean"],
                 "interval": 1.96 * row["std"] / math.sqrt(row["episodes"])}
                for row in load_json_lines(folder / "evaluations.jsonl", Evaluation)],
            "world": run.config.evolve.world, "solved": game_named(run.config.game).solved}
