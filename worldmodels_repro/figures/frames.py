"""Rows of frames: what V was shown, and what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from worldmodels_repro.figures.style import PAGE, new_figure
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_npz, needed

LABELS = 0.55  # inches left of the frames, for the names of the rows
GAP = 0.04


def reconstructions(run: Run) -> Figure:
    """Held-out frames above V's reconstructions of them, decoded from the posterior's mean.

    Raises:
        UserError: V has not been trained for an epoch.
    """
    path = needed(run.folder("vae") / "reconstructions.npz", "vae")
    shown = load_npz(path, ["originals", "reconstructions"])
    return frame_rows({"frame": shown["originals"], "V": shown["reconstructions"]})


def frame_rows(rows: Mapping[str, np.ndarray], titles: Sequence[str] = ()) -> Figure:
    """Frames in rows, edge to edge over a page's width.

    Args:
        rows: name -> (n, 64, 64, 3) uint8, all of the same n.
        titles: what stands above each column; none by default.
    """
    columns = len(next(iter(rows.values())))
    side = (PAGE - LABELS - GAP * columns) / columns
    above = 0.2 if titles else GAP
    height = above + len(rows) * (side + GAP)
    figure = new_figure(PAGE, height)
    figure.set_layout_engine("none")
    for row, (name, frames) in enumerate(rows.items()):
        bottom = height - above - (row + 1) * side - row * GAP
        figure.text((LABELS - 0.06) / PAGE, (bottom + side / 2) / height, name, ha="right",
                    va="center", multialignment="right")
        for column, frame in enumerate(frames):
            left = LABELS + column * (side + GAP)
            ax = figure.add_axes((left / PAGE, bottom / height, side / PAGE, side / height))
            ax.imshow(frame, interpolation="none")
            ax.set_axis_off()
            if titles and row == 0:
                ax.set_title(titles[column], pad=3)
    return figure
