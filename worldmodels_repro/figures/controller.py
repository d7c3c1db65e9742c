"""C's weights as a map."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from worldmodels_repro.figures.style import new_figure
from worldmodels_repro.tables import ControllerMap

ROW = 32  # weights beside each other
CELL = 0.062  # inches of one


def draw_controller(table: ControllerMap) -> Figure:
    """A panel for each action and each part of what C sees, in rows of 32, first to last.

    All panels share a scale: red pushes the action up, blue down.
    """
    actions, parts = table["actions"], table["parts"]
    rows = {name: -(-len(weights[0]) // ROW) for name, weights in parts.items()}
    high = CELL * sum(rows.values()) + 0.2 * len(rows) + 0.75
    figure = new_figure("page" if len(actions) > 1 else "column", high)
    figure.set_layout_engine("compressed")  # panels keep their cells square, and together
    axes = figure.subplots(len(parts), len(actions), squeeze=False,
                           height_ratios=list(rows.values()))
    most = max(abs(weight) for part in parts.values() for row in part for weight in row)
    for line, (name, weights) in zip(axes, parts.items(), strict=True):
        for column, (ax, row) in enumerate(zip(line, weights, strict=True)):
            cells = np.full(rows[name] * ROW, np.nan)
            cells[:len(row)] = row
            shown = ax.imshow(cells.reshape(-1, ROW), cmap="RdBu_r", vmin=-most, vmax=most,
                              interpolation="none")
            ax.set(xticks=[], yticks=[])
            ax.grid(visible=False)
            for spine in ax.spines.values():
                spine.set(visible=True, linewidth=0.4)
            if column == 0:
                ax.set_ylabel(f"{name}\n{len(row)}", rotation=0, ha="right", va="center")
    for column, (ax, name) in enumerate(zip(axes[0], actions, strict=True)):
        bias = f"\nbias {table['bias'][column]:+.2f}" if table["bias"] else ""
        ax.set_title(name + bias.replace("-", "\N{MINUS SIGN}"))
    bar = figure.colorbar(shown, ax=axes, location="bottom", aspect=40, shrink=0.6, pad=0.02)
    bar.set_label("weight")
    bar.outline.set_visible(False)
    return figure
