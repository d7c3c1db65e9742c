"""``worldmodels compare``: runs and experiments beside each other, with intervals over seeds."""

from __future__ import annotations

import argparse
import json as jsons
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is compared and how it is told."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN",
                        help="run folders, or experiments' (each cell is a group of seeds); the "
                             "first one is what the others are compared with")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--figure", type=Path, metavar="NAME", help="draw NAME.png and NAME.svg")


def run(runs: list[Path], json: bool = False, figure: Path | None = None) -> None:
    """Print the comparison, and draw it if asked for.

    Raises:
        UserError: runs that can't be compared.
    """
    from worldmodels_repro.experiment import runs_in
    from worldmodels_repro.report.comparison import comparison, text

    table = comparison({name: paths for place in runs for name, paths in runs_in(place).items()})
    print(jsons.dumps(table, indent=2) if json else text(table))
    if figure is not None:
        from worldmodels_repro.extras import require

        require("figures")
        from worldmodels_repro.figures.comparison import draw_comparison
        from worldmodels_repro.figures.style import in_style, save, save_svg

        with in_style():
            drawn = draw_comparison(table)
            save(drawn, figure.parent, figure.name)
            save_svg(drawn, figure.parent, figure.name)
