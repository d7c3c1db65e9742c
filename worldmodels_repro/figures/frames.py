"""Rows of frames: what V was shown, and what V and M make of it."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.figure import Figure

from worldmodels_repro.figures.style import new_figure, width_of
from worldmodels_repro.tables import FrameRows

LABELS = 0.55  # inches left of the frames, for the names of the rows,
LETTERS = 7  # so many of them in a line
TITLES = 0.2  # inches above them
GAP = 0.04


def draw_frame_rows(table: FrameRows) -> Figure:
    """Frames in rows, edge to edge over a page's width.

    Where the style leaves more height than that takes, the rows are broken into lines.
    """
    rows, titles = table["rows"], table["titles"]
    count, above = len(next(iter(rows.values()))), TITLES if titles else GAP

    def side_of(lines: int, width: float) -> float:
        columns = -(-count // lines)
        return (width - LABELS - GAP * columns) / columns

    def height_of(lines: int, side: float) -> float:
        return lines * (above + len(rows) * (side + GAP))

    width = width_of("page")
    figure = new_figure("page", height_of(1, side_of(1, width)))
    height = figure.get_figheight()
    fits = {lines: min(side_of(lines, width), (height / lines - above) / len(rows) - GAP)
            for lines in range(1, count + 1)}
    lines = max(fits, key=lambda lines: fits[lines])
    side, columns = fits[lines], -(-count // lines)
    # What is left over is shared between both sides.
    from_left = (width - LABELS - columns * (side + GAP)) / 2 + LABELS
    top = height - (height - height_of(lines, side)) / 2
    figure.set_layout_engine("none")
    for line, row in np.ndindex(lines, len(rows)):
        name = list(rows)[row]
        frames = rows[name][line * columns:(line + 1) * columns]
        bottom = top - line * height_of(1, side) - above - (row + 1) * side - row * GAP
        figure.text((from_left - 0.06) / width, (bottom + side / 2) / height,
                    textwrap.fill(name, LETTERS), ha="right", va="center",
                    multialignment="right")
        for column, frame in enumerate(frames):
            left = from_left + column * (side + GAP)
            ax = figure.add_axes((left / width, bottom / height, side / width, side / height))
            ax.imshow(frame, interpolation="none")
            ax.set_axis_off()
            if titles and row == 0:
                ax.set_title(titles[line * columns + column], pad=3)
    return figure
