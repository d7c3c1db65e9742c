"""How figures look: sizes, fonts, lines, a palette that colour-blind readers can tell apart, files.

Figures are built without pyplot, on the Agg canvas: no display is needed and none is opened.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from worldmodels_repro.storage import write_atomically


@dataclass(frozen=True, kw_only=True)
class Style:
    """What figures are made for.

    Text is of 7 and 8 points in all of them. A slide is a small page, shown large: on a screen
    13.3 inches wide its text is of 16 to 18 points.

    Attributes:
        column, page: inches, the width of one column of text, and of both.
        height: inches, of every figure; None: as much as each needs.
        dpi: of the PNG.
        vector: whether each figure is an SVG as well.
    """

    column: float
    page: float
    height: float | None = None
    dpi: int = 300
    vector: bool = True


STYLES = {
    "screen": Style(column=3.3, page=7.0, vector=False),
    "paper": Style(column=3.3, page=6.9),
    "slides": Style(column=6.0, page=6.0, height=6.0 * 9 / 16, dpi=320),  # 1920 x 1080
}
FLAT = 2000  # colours: a figure with more of them shows frames or a colour scale

# Okabe and Ito's palette (2008).
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
GREY, PALE = "#666666", "#dddddd"
SMALL = 7  # points, for what stands beside a mark

_RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
    "font.size": 8, "axes.labelsize": 8, "axes.titlesize": 8, "legend.fontsize": SMALL,
    "xtick.labelsize": SMALL, "ytick.labelsize": SMALL,
    "axes.linewidth": 0.6, "lines.linewidth": 1.2, "lines.markersize": 3.5,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True,
    "grid.color": PALE, "grid.linewidth": 0.5,
    "legend.frameon": False, "legend.handlelength": 1.6,
    "figure.constrained_layout.use": True,
}
_CURRENT: ContextVar[Style] = ContextVar("style", default=STYLES["screen"])


@contextmanager
def in_style(name: str = "screen") -> Iterator[Style]:
    """One of ``STYLES`` for all that is drawn and saved inside, and only there."""
    before = _CURRENT.set(STYLES[name])
    try:
        with matplotlib.rc_context(_RC):
            matplotlib.use("Agg", force=True)
            yield STYLES[name]
    finally:
        _CURRENT.reset(before)


def width_of(width: Literal["column", "page"]) -> float:
    """Inches of a figure that is one column wide, or both."""
    return float(getattr(_CURRENT.get(), width))


def new_figure(width: Literal["column", "page"], height: float) -> Figure:
    """An empty figure, one column or both wide, so many inches high where the style lets it."""
    figure = Figure(figsize=(width_of(width), _CURRENT.get().height or height))
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name.png``, and ``name.svg`` where the style says so.

    Raises:
        OSError: the folder can't be written; a file of an earlier drawing stays whole.
    """
    style, drawn = _CURRENT.get(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=style.dpi)
    picture = Image.open(drawn).convert("RGB")
    if picture.getcolors(FLAT):  # lines and text: 256 colours look the same, in half the bytes
        picture = picture.quantize(256)
    write_atomically(folder / f"{name}.png",
                     lambda file: picture.save(file, "PNG", optimize=True,
                                               dpi=(style.dpi, style.dpi)))
    if style.vector:
        save_svg(figure, folder, name)


def save_svg(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name.svg``, the same bytes each time; text stays text.

    Raises:
        OSError: the folder can't be written; a file of an earlier drawing stays whole.
    """
    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", dpi=_CURRENT.get().dpi, metadata={"Date": None})
    write_atomically(folder / f"{name}.svg", lambda file: file.write(drawn.getvalue()))
