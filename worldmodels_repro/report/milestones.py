"""When the CMA mean first reached each score, and what that had taken: steps, hours, dollars."""

from __future__ import annotations

import itertools

from worldmodels_repro.cloud.estimate import DEFAULTS
from worldmodels_repro.cloud.prices import load_prices
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.records import Evaluation
from worldmodels_repro.run import STAGES, Run, load_marker
from worldmodels_repro.storage import load_csv, load_json_lines


def milestones(stage_run: Run) -> list[str]:
    """A table with a line for each of the game's milestones, "-" where it was not reached.

    The score is the mean over the validation tracks, or dreams where means are evaluated in those.
    Steps are the rollouts', those of training, those of validation, dreamt ones among them.
    Core-hours are hours times the cores that the machine had, data, V and M included; dollars are
    what they cost on the machine that is rented for evolution.
    """
    prices, machine = load_prices(), DEFAULTS["cores"]
    dollar = prices.hour(machine, spot=False) / prices.machine(machine).cores
    scored = "in dream" if stage_run.config.evolve.worlds[1] == "dream" else "validated"
    lines = [f"{scored:9s}{'generation':>12s}{'steps':>14s}{'core-hours':>12s}{'dollars':>9s}"
             f"   at ${dollar:.3f} a core-hour ({machine}, {prices.as_of})"]
    reached = _curve(stage_run)
    for score in game_named(stage_run.config.game).milestones:
        first = next((point for point in reached if point[0] >= score), None)
        if first is None:
            lines.append(f"{score:9.0f}{'-':>12s}")
            continue
        _, generation, steps, hours = first
        lines.append(f"{score:9.0f}{generation:12d}{steps:14,d}{hours:12.2f}{hours * dollar:9.2f}")
    return lines


def _curve(stage_run: Run) -> list[tuple[float, int, int, float]]:
    """(score, generation, steps, core-hours) of each evaluation of the CMA mean."""
    folder, curve = stage_run.folder("evolve"), []
    cores = load_marker(folder).get("cores", 1)
    steps, hours = 0, 0.0
    for stage in itertools.takewhile(lambda stage: stage != "evolve", STAGES):
        if (stage_run.folder(stage) / "stage.json").exists():
            marker = load_marker(stage_run.folder(stage))
            hours += marker["seconds"] / 3600 * marker.get("cores", cores)
            if stage == "rollouts":
                steps += int(marker.get("facts", {}).get("frames", 0))
    rows = {int(row["generation"]): row
            for row in load_csv(folder / "generations.csv", "generation", "steps", "hours")}
    trained = dict(zip(rows, itertools.accumulate(row["steps"] for row in rows.values()),
                       strict=True))
    validated = 0
    for row in load_json_lines(folder / "evaluations.jsonl", Evaluation):
        generation = row["generation"]
        if not trained.get(generation):
            continue  # its row was lost
        validated += row["steps"]
        played = trained[generation] + validated
        # Validation is not timed apart: its steps take what those of training take.
        spent = rows[generation]["hours"] * played / trained[generation]
        curve.append((row["mean"], generation, steps + int(played), hours + spent * cores))
    return curve
