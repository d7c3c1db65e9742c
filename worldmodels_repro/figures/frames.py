"""Rows of frames: what V was shown, and what V and M make of it."""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure

from worldmodels_repro.figures.style import PAGE, new_figure
from worldmodels_repro.tables import FrameRows

LABELS = 0.55  # inches left of the frames, for the names of the rows,
LETTERS = 7  # so many of them in a line
GAP = 0.04


def draw_frame_rows(table: FrameRows) -> Figure:
    """Frames in rows, edge to edge over a page's width."""
    rows, titles = table["rows"], table["titles"]
    columns = len(next(iter(rows.values())))
    side = (PAGE - LABELS - GAP * columns) / columns
    above = 0.2 if titles else GAP
    height = above + len(rows) * (side + GAP)
    figure = new_figure(PAGE, height)
    figure.set_layout_engine("none")
    for row, (name, frames) in enumerate(rows.items()):
        bottom = height - above - (row + 1) * side - row * GAP
        figure.text((LABELS - 0.06) / PAGE, (bottom + side / 2) / height,
                    textwrap.fill(name, LETTERS), ha="right", va="center",
                    multialignment="right")
        for column, frame in enumerate(frames):
            left = LABELS + column * (side + GAP)
            ax = figure.add_axes((left / PAGE, bottom / height, side / PAGE, side / height))
            ax.imshow(frame, interpolation="none")
            ax.set_axis_off()
            if titles and row == 0:
                ax.set_title(titles[column], pad=3)
    return figure
