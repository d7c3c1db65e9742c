"""``worldmodels figures``: the stage, or its figures once more for a paper or for slides."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worldmodels_repro.run import Run


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what figures are drawn for."""
    parser.add_argument("--style", choices=("paper", "slides"), help="draw each figure as PNG and "
                        "SVG, in the sizes of a paper's columns or of slides, into "
                        "figures/paper/ or figures/slides/ of the run; no films")


def run(stage_run: Run, style: str | None = None) -> None:
    """Draw the figures.

    Raises:
        UserError: nothing can be drawn, or the extra for it is not installed.
    """
    from worldmodels_repro.stages import figures

    figures.run(stage_run, style or "screen")
