"""``worldmodels results``: scores, what each stage took, and where the pictures are."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldmodels_repro.run import Run


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how results are told."""
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    parser.add_argument("--prices", action="store_true",
                        help="and what they cost, or would have, on rented machines")
    parser.add_argument("--card", action="store_true", help="write them as a model card, the run "
                        "folder's README.md, in place of printing")


def run(stage_run: Run, json: bool = False, prices: bool = False, card: bool = False) -> None:
    """Print the results table, what stages and scores took, the figures, and prices if asked for.

    Raises:
        UserError: the run has no evaluation.
    """
    if card:
        from worldmodels_repro.report import card as model_card

        print(f"{model_card.write(stage_run)}: what the agent is, its scores, its limits")
        return
    print(_as_json(stage_run, prices) if json else _as_text(stage_run, prices))


def _as_text(stage_run: Run, prices: bool) -> str:
    from worldmodels_repro.report import costs, judgement, milestones

    scores = judgement.text(judgement.table(stage_run), stage_run.path)
    dollars, basis, bill = None, "", []
    if prices:
        from worldmodels_repro.cloud import bill as money
        from worldmodels_repro.cloud.prices import load_prices

        dollars, basis = money.core_hour(load_prices())
        bill = ["\n".join(money.price_of(stage_run.path, load_prices()))]
    rows = milestones.table(stage_run)
    reached = ([milestones.text(rows, stage_run.config.evolve.worlds[1], dollars, basis)]
               if rows else [])
    return "\n\n".join([scores, costs.text(costs.table(stage_run)), *reached,
                        _pictures(stage_run), *bill])


def _as_json(stage_run: Run, prices: bool) -> str:
    from worldmodels_repro.report import costs, judgement, milestones

    told: dict[str, Any] = {
        "run": str(stage_run.path),
        **{key: value for key, value in judgement.table(stage_run).items() if key != "episodes"},
        "stages": costs.table(stage_run), "milestones": milestones.table(stage_run),
        "figures": [str(path) for path in _drawn(stage_run)],
    }
    if prices:
        from worldmodels_repro.cloud.bill import bill_of, core_hour
        from worldmodels_repro.cloud.prices import load_prices

        table = load_prices()
        told |= {"bill": bill_of(stage_run.path, table), "core_hour": core_hour(table)[0]}
    return json.dumps(told, indent=2)


def _pictures(stage_run: Run) -> str:
    """Where figures and films are, or how to get them."""
    drawn = _drawn(stage_run)
    if not drawn:
        return f"no figures yet: type {stage_run.command('figures')}"
    figures = ", ".join(path.stem for path in drawn if path.suffix == ".png")
    return "\n".join([f"{stage_run.folder('figures')}: {figures} (.png)",
                      *(str(path) for path in drawn if path.suffix != ".png")])


def _drawn(stage_run: Run) -> list[Path]:
    return sorted(path for path in stage_run.folder("figures").glob("*.*")
                  if path.suffix in (".png", ".webp", ".gif"))
