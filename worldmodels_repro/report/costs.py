"""What each stage of a run took: seconds, and what they went into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worldmodels_repro.errors import UserError
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.progress import clock
from worldmodels_repro.records import Marker
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_csv, load_json, load_json_lines
from worldmodels_repro.tables import Cost, Costs


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


def priced(stage_run: Run) -> Costs:
    """The same rows, and what they cost by the hours of rented machines, or would have.

    Raises:
        UserError: no stage has been run.
    """
    from worldmodels_repro.cloud.bill import basis, bill_of  # a guest: only who asks loads it
    from worldmodels_repro.cloud.estimate import KINDS
    from worldmodels_repro.cloud.prices import load_prices

    rows, prices = table(stage_run), load_prices()
    if not rows:
        raise UserError(f"no stage has been run: type {stage_run.command('all')}")
    dollars: dict[str, float] = {}
    if any(row["stage"] in KINDS for row in rows):
        for charge in bill_of(stage_run.path, prices):
            dollars[charge["stage"]] = dollars.get(charge["stage"], 0.0) + charge["dollars"]
    return {"stages": rows, "dollars": dollars, "basis": basis(stage_run.path, prices)}


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
