"""``worldmodels export``: a run's V, M and C for other programs, or the run to hand on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worldmodels_repro.run import Run

# Of export.formats, which needs more than declaring words does.
NAMES = ("onnx", "weights-js", "run")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the format, and where the files go."""
    parser.add_argument("--format", choices=NAMES, required=True,
                        help="ONNX models, a folder that a web page loads, or the run itself "
                             "without what can be made again")
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help="where to (default: export/<format> in the run folder)")


def run(stage_run: Run, format: str, out: Path | None = None) -> None:
    """Write the files, and say where each is.

    Raises:
        UserError: the run has no V or M, or an extra is not installed.
    """
    from worldmodels_repro.export.formats import FORMATS, export
    from worldmodels_repro.extras import require
    from worldmodels_repro.run import load_run

    if (extra := FORMATS[format].extra) is not None:
        require(extra)
    folder = out or stage_run.path / "export" / format
    for path in export(load_run(stage_run.path), format, folder, print):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
