"""What each stage of a run took: seconds, and what they went into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.progress import clock
from worldmodels_repro.records import Marker
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_csv, load_json, load_json_lines


class Cost(TypedDict):
    """What one stage took: seconds, and counts of what they went into."""

    stage: str
    done: bool
    seconds: float
    spent: dict[str, int]


def table(stage_run: Run) -> list[Cost]:
    """A row for every stage that has been run."""
    rows: list[Cost] = []
    for name, stage in STAGES.items():
        folder = stage_run.folder(name)
        if not (folder / "stage.json").exists():
            continue
        record = load_json(folder / "stage.json", Marker)
        facts = record.get("facts", {})
        counted = {unit: _count(folder, source, facts) for source, unit in stage.spent.items()}
        rows.append({"stage": name, "done": record["state"] == "done",
                     "seconds": record["seconds"],
                     "spent": {unit: count for unit, count in counted.items()
                               if count is not None}})
    return rows


def text(rows: list[Cost]) -> str:
    """The rows in lines; times are h:mm:ss."""
    lines = [f"{'stage':10s}{'time':>9s}"]
    for row in rows:
        spent = ", ".join(f"{count:,} {unit}" for unit, count in row["spent"].items())
        lines.append(f"{row['stage']:10s}{clock(row['seconds']):>9s}   {spent}"
                     + ("" if row["done"] else ", not finished"))
    return "\n".join([*lines, f"{'all':10s}{clock(sum(row['seconds'] for row in rows)):>9s}"])


def _count(folder: Path, source: str, facts: dict[str, Any]) -> int | None:
    """A number of what a stage's time went into, as the pipeline's row says where it stands."""
    file, colon, key = source.partition(":")
    if not colon:
        return facts.get(source)
    if file.endswith(".csv"):
        rows = load_csv(folder / file, key)
        return int(rows[-1][key]) if rows else 0
    lines = load_json_lines(folder / file, dict[str, Any])
    return sum(int(line.get(key, 0)) for line in lines) if key else len(lines)
