"""How figures look: paper sizes, a palette that colour-blind readers can tell apart, the files.

Figures are built without pyplot, on the Agg canvas: no display is needed and none is opened.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from worldmodels_repro.storage import write_atomically

COLUMN, PAGE = 3.3, 7.0  # inches: one column of a paper, and both
DPI = 300
FLAT = 2000  # colours: a figure with more of them shows frames or a colour scale

# Okabe and Ito's palette (2008).
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
GREY = "#666666"

_RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
    "font.size": 8, "axes.labelsize": 8, "axes.titlesize": 8, "legend.fontsize": 7,
    "xtick.labelsize": 7, "ytick.labelsize": 7,
    "axes.linewidth": 0.6, "lines.linewidth": 1.2, "lines.markersize": 3.5,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#dddddd", "grid.linewidth": 0.5,
    "legend.frameon": False, "legend.handlelength": 1.6,
    "figure.constrained_layout.use": True,
}


@contextmanager
def paper() -> Iterator[None]:
    """Paper style for all that is drawn inside, and only there."""
    with matplotlib.rc_context(_RC):
        matplotlib.use("Agg", force=True)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name.png`` at 300 dots an inch.

    Raises:
        OSError: the folder can't be written; a file of an earlier drawing stays whole.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    picture = Image.open(drawn).convert("RGB")
    if picture.getcolors(FLAT):  # lines and text: 256 colours look the same, in half the bytes
        picture = picture.quantize(256)
    write_atomically(folder / f"{name}.png",
                     lambda file: picture.save(file, "PNG", optimize=True, dpi=(DPI, DPI)))


def save_svg(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name.svg``, the same bytes each time; text stays text.

    Raises:
        OSError: the folder can't be written; a file of an earlier drawing stays whole.
    """
    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    write_atomically(folder / f"{name}.svg", lambda file: file.write(drawn.getvalue()))
