"""When a search first reached each score, and what that had taken: steps and core-hours."""

from __future__ import annotations

import itertools

from typing_extensions import TypedDict

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.records import Evaluation
from worldmodels_repro.run import Run, load_marker, stages_of
from worldmodels_repro.storage import load_csv, load_json_lines


class Milestone(TypedDict):
    """One score, and what it took to reach it; None where it was not reached."""

    score: float
    generation: int | None
    steps: int | None
    core_hours: float | None


def table(stage_run: Run) -> list[Milestone]:
    """A row for each of the game's milestones.

    The score is the mean over the validation tracks, or dreams where means are evaluated in those.
    Steps are the rollouts', those of training, those of validation, dreamt ones among them; a step
    of ``game@n`` counts n times.
    Core-hours are hours times the cores that the machine had, data, V and M included. There are
    none of a C that learnt: its evaluations stand in ``learn/history.csv``.
    """
    if stage_run.config.controller.stage == "learn":
        return []
    reached = curve(stage_run)
    rows: list[Milestone] = []
    for score in game_named(stage_run.config.game).milestones:
        _, generation, steps, hours = next((point for point in reached if point[0] >= score),
                                           (score, None, None, None))
        rows.append({"score": score, "generation": generation, "steps": steps,
                     "core_hours": hours})
    return rows


def text(rows: list[Milestone], world: str, dollars: float | None = None, basis: str = "") -> str:
    """The rows in lines, "-" where a score was not reached.

    Args:
        rows: from :func:`table`.
        world: where the means were evaluated, ``real``, ``dream`` or ``forward``.
        dollars: of a core-hour, for a column of its own.
        basis: where that price is from.
    """
    scored = "validated" if world == "real" else "in dream"
    head = f"{scored:9s}{'generation':>12s}{'steps':>14s}{'core-hours':>12s}"
    lines = [head if dollars is None else
             f"{head}{'dollars':>9s}   at ${dollars:.3f} a core-hour ({basis})"]
    for row in rows:
        if row["core_hours"] is None:
            lines.append(f"{row['score']:9.0f}{'-':>12s}")
            continue
        line = (f"{row['score']:9.0f}{row['generation']:12d}{row['steps']:14,d}"
                f"{row['core_hours']:12.2f}")
        lines.append(line if dollars is None else f"{line}{row['core_hours'] * dollars:9.2f}")
    return "\n".join(lines)


def curve(stage_run: Run) -> list[tuple[float, int, int, float]]:
    """(score, generation, steps, core-hours) of each evaluation of the search's mean."""
    folder, points = stage_run.folder("evolve"), []
    cores, repeat = load_marker(folder).get("cores", 1), game_named(stage_run.config.game).repeat
    steps, hours = 0, 0.0
    before = itertools.takewhile(lambda stage: stage != "evolve", stages_of(stage_run.config))
    for stage in before:
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
        points.append((row["mean"], generation, repeat * (steps + int(played)),
                       hours + spent * cores))
    return points
