"""What a run came to: scores, what each stage cost, and where the pictures are."""

from __future__ import annotations

from typing import Any

from worldmodels_repro.cloud import RECORD
from worldmodels_repro.cloud.bill import price_of
from worldmodels_repro.cloud.prices import load_prices
from worldmodels_repro.progress import clock
from worldmodels_repro.records import Marker
from worldmodels_repro.report.milestones import milestones
from worldmodels_repro.run import STAGES, Run
from worldmodels_repro.stages.evaluate import judgement, table
from worldmodels_repro.storage import load_csv, load_json


def run(stage_run: Run) -> None:
    """Print the results table, what stages and scores took, the figures, and the price if rented.

    Raises:
        UserError: the run has no evaluation.
    """
    print(table(stage_run))
    print()
    print(costs(stage_run))
    print()
    print("\n".join(milestones(stage_run)))
    print()
    print(pictures(stage_run))
    if (stage_run.path / RECORD).exists():
        print()
        print("\n".join(price_of(stage_run.path, load_prices())))


def costs(stage_run: Run) -> str:
    """Time (h:mm:ss) and size of every stage that has been run, as a plain table."""
    lines, seconds = [f"{'stage':10s}{'time':>9s}"], 0.0
    for stage in STAGES:
        marker = stage_run.folder(stage) / "stage.json"
        if not marker.exists():
            continue
        record = load_json(marker, Marker)
        state = "" if record["state"] == "done" else ", not finished"
        seconds += record["seconds"]
        lines.append(f"{stage:10s}{clock(record['seconds']):>9s}   "
                     f"{_size(stage_run, stage, record.get('facts', {}))}{state}")
    return "\n".join([*lines, f"{'all':10s}{clock(seconds):>9s}"])


def pictures(stage_run: Run) -> str:
    """Where figures and films are, or how to get them."""
    folder = stage_run.folder("figures")
    figures = sorted(folder.glob("*.png"))
    films = sorted(path for path in folder.glob("*.*") if path.suffix in (".webp", ".gif"))
    if not figures and not films:
        return f"no figures yet: type worldmodels figures --run {stage_run.path}"
    lines = [f"{folder}: " + ", ".join(path.stem for path in figures) + " (.png)"]
    return "\n".join(lines + [f"{path}" for path in films])


def _size(stage_run: Run, stage: str, facts: dict[str, Any]) -> str:
    """What the time went into."""
    folder = stage_run.folder(stage)
    if stage == "rollouts":
        return _many(facts, episodes="episodes", frames="steps of the game")
    if stage == "vae":
        epochs = len(load_csv(folder / "history.csv"))
        return f"{epochs} epochs, " + _many(facts, training_frames="frames",
                                            parameters="parameters")
    if stage == "memory":
        rows = load_csv(folder / "history.csv", "step")
        steps = rows[-1]["step"] if rows else 0
        return f"{steps:,} gradient steps, " + _many(facts, parameters="parameters")
    if stage == "evolve":
        return _many(facts, generations="generations", steps="steps")
    if stage == "evaluate":
        episodes = judgement(stage_run)["episodes"]
        steps = sum(row["steps"] for rows in episodes.values() for row in rows)
        return f"{sum(map(len, episodes.values())):,} episodes, {steps:,} steps of the game"
    return _many(facts, episodes="episodes")


def _many(facts: dict[str, Any], **names: str) -> str:
    return ", ".join(f"{facts[key]:,} {name}" for key, name in names.items() if key in facts)
