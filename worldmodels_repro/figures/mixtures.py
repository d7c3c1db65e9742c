"""M's mixtures over the steps of a bend."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from worldmodels_repro.figures.style import BLUE, GREY, VERMILION, new_figure
from worldmodels_repro.tables import Mixtures


def draw_mixtures(table: Mixtures) -> Figure:
    """Frames, then each latent's density step by step with where it went, then the action.

    A step's density is shown as a share of its highest, so that narrow ones outshine no others.
    """
    t, count, shown = table["step"], len(table["dimensions"]), len(table["frames"])
    figure = new_figure("page", 1.9 + 0.95 * count)
    axes = figure.subplots(count + 2, 1, sharex=True, height_ratios=(0.95, *[1.0] * count, 0.75))
    begin, end = t[0] - 0.5, t[-1] + 0.5
    apart = np.pad(table["frames"], ((0, 0), (0, 0), (1, 1), (0, 0)), constant_values=255)
    strip = np.concatenate(list(apart), axis=1)  # (64, k 66, 3)
    axes[0].imshow(strip, extent=(begin, end, 0.0, (end - begin) / shown * 64 / 66), aspect="equal",
                   interpolation="none")
    axes[0].set_axis_off()
    for row, (ax, k) in enumerate(zip(axes[1:-1], table["dimensions"], strict=True)):
        density, values = table["density"][row], table["values"][row]  # (S, G), (G,)
        share = density / density.max(axis=1, keepdims=True)
        ax.imshow(share.T, extent=(begin, end, values[0], values[-1]), origin="lower",
                  aspect="auto", cmap="Blues", vmin=0.0, vmax=1.15, interpolation="nearest")
        ax.plot(t, table["mean"][row], color="black", linewidth=0.8, label="V: mean")
        ax.plot(t, table["draw"][row], "o", color=VERMILION, markersize=1.6, label="V: draw")
        ax.set(ylabel=f"$z_{{{k + 1}}}$", ylim=(values[0], values[-1]))
        ax.grid(visible=False)
    axes[1].plot([], [], color=BLUE, alpha=0.6, linewidth=4, label="M: density of its mixture")
    axes[-1].plot(t, table["action"], color=GREY, drawstyle="steps-mid")
    axes[-1].axhline(0.0, color=GREY, linewidth=0.5)
    axes[-1].set(xlabel="step of the episode", xlim=(begin, end), ylabel=table["action_name"])
    figure.align_ylabels(axes[1:])
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
