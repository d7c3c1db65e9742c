"""V's latent space on a plane."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import MaxNLocator

from worldmodels_repro.figures.style import GREY, new_figure
from worldmodels_repro.tables import LatentMap

FEW = 500  # points: fewer are drawn larger


def draw_latents(table: LatentMap) -> Figure:
    """The plane with some of the frames, and coloured by action, return and pace."""
    points = table["points"]
    figure = new_figure("page", 4.75)
    large, small = figure.subfigures(1, 2, width_ratios=(4.75, 2.25), squeeze=False)[0]
    ax = large.subplots()
    area = 1.0 if len(points) > FEW else 3.0
    ax.scatter(*points.T, s=4 * area, color=GREY, alpha=0.4, linewidth=0, rasterized=True)
    _plain(ax)
    width, height = figure.get_size_inches()
    _thumbnails(ax, table, 4.3 / 7.0 * width, height)  # about what the panel measures
    panels = [
        (table["action_name"], table["action"], "managua"),
        ("return so far", table["score"], "viridis"),
        ("reward of a step,\n±0.5 s", table["pace"], "viridis"),
    ]
    # A game may pay the same for every step.
    panels = [panel for panel in panels if np.ptp(panel[1]) > 0]
    for axis, (label, values, colors) in zip(small.subplots(len(panels), 1, squeeze=False)[:, 0],
                                             panels, strict=True):
        low, high = np.quantile(values, (0.01, 0.99))
        shown = axis.scatter(*points.T, c=values, s=2 * area, cmap=colors, vmin=low, vmax=high,
                             linewidth=0, rasterized=True)
        _plain(axis)
        bar = small.colorbar(shown, ax=axis, aspect=14, pad=0.03)
        bar.set_label(label)
        bar.outline.set_visible(False)
        bar.locator = MaxNLocator(4)
        bar.update_ticks()
    return figure


def _plain(ax: Axes) -> None:
    """t-SNE's axes have no unit and no meaning: none are drawn."""
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _thumbnails(ax: Axes, table: LatentMap, width: float, height: float) -> None:
    points = table["points"]
    low, high = points.min(axis=0), points.max(axis=0)
    side = min(0.9 * min(width, height) * table["apart"], 0.38)
    for point, frame in zip(points[table["picked"]], table["frames"], strict=True):
        # An OffsetImage of zoom 1 has a pixel for each point: 72 an inch.
        image = OffsetImage(frame, zoom=72 * side / len(frame))
        ax.add_artist(AnnotationBbox(image, tuple(point), pad=0.0, bboxprops={
            "edgecolor": "white", "linewidth": 0.8}))
    margin = side / 2 / width * 1.05
    ax.set_xlim(low[0] - margin * (high - low)[0], high[0] + margin * (high - low)[0])
    ax.set_ylim(low[1] - margin * (high - low)[1], high[1] + margin * (high - low)[1])
