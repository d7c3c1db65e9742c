"""What the judge wrote, and how it is told."""

from __future__ import annotations

from pathlib import Path

from worldmodels_repro.errors import UserError
from worldmodels_repro.records import Judgement, Summary
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_json
from worldmodels_repro.tables import Scored


def table(stage_run: Run) -> Judgement:
    """What the judge wrote: by player, every held-out episode and what they come to.

    Raises:
        UserError: nothing yet, or it is at work.
    """
    written = stage_run.folder("evaluate") / "evaluation.json"
    if not (stage_run.is_done("evaluate") and written.exists()):
        raise UserError(f"{stage_run.path} has no evaluation yet: type "
                        + stage_run.command("evaluate"))
    return load_json(written, Judgement)


def scored(row: Summary) -> Scored:
    """What a figure shows of some episodes."""
    return {"mean": row["mean"], "std": row["std"], "ci95": row["ci95"]}


def text(result: Judgement, run: Path) -> str:
    """The results of the run at this place, in lines."""
    lines = [f"{where(result['environment'], result['unmodified'])}, held-out episodes ({run})",
             f"{'':8s}{'episodes':>9s}{'mean':>9s}{'std':>8s}   95 % interval",
             *_rows(result["results"])]
    if "dream" in result:
        lines += [f"M's dream at temperature {result['dream']['temperature']:g}",
                  *_rows(result["dream"]["results"])]
    return "\n".join(lines)


def where(environment: str, unmodified: bool) -> str:
    """The environment, and that it is as everyone has it."""
    return environment + (", unmodified" if unmodified else "")


def _rows(results: dict[str, Summary]) -> list[str]:
    return [f"{player:8s}{row['episodes']:9d}{row['mean']:9.1f}{row['std']:8.1f}   "
            f"[{row['ci95'][0]:.1f}, {row['ci95'][1]:.1f}]" for player, row in results.items()]
