"""How V and M learned: losses on training and held-out data."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from worldmodels_repro.figures.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILION,
    new_figure,
)
from worldmodels_repro.tables import Column, Curve, MemoryCurves, VaeCurves


def draw_vae_curves(table: VaeCurves) -> Figure:
    """V's loss and its two terms by epoch, each the mean over frames."""
    figure = new_figure("page", 2.0)
    axes = figure.subplots(1, 3)
    curves = {"loss": table["loss"], "reconstruction error": table["reconstruction"],
              "KL (nats)": table["kl"]}
    for ax, (label, curve) in zip(axes, curves.items(), strict=True):
        _both(ax, table["epoch"], curve)
        ax.set(xlabel="epoch", ylabel=label)
    tolerance = table["tolerance"]
    line = axes[2].axhline(tolerance, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    kl = table["kl"]
    highest = max(tolerance, *_floats(kl["training"]), *_floats(kl["held_out"]))
    axes[2].set_ylim(0.0, 1.08 * highest)
    axes[2].legend([line], ["tolerance"], loc="lower right")
    axes[0].legend(loc="upper right")
    return figure


def draw_memory_curves(table: MemoryCurves) -> Figure:
    """M's negative log-likelihood of the next latent by gradient step, in nats a dimension.

    Where M has an ending head, its recall and precision on held-out endings stand beside it;
    where it has a reward head, that head's squared error.
    """
    steps, endings, reward = table["step"], table["endings"], table["reward"]
    panels = 1 + (endings is not None) + (reward is not None)
    figure = new_figure("column" if panels == 1 else "page", 2.1)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for ax in axes:
        ax.set(xlabel="gradient steps")
    _both(axes[0], steps, table["nll"])
    axes[0].set(ylabel="NLL (nats per dimension)")
    axes[0].legend(loc="upper right")
    if endings is not None:
        for name, values, color in (("recall", endings["recall"], BLUE),
                                    ("precision", endings["precision"], GREEN)):
            axes[1].plot(_floats(steps), _floats(values), color=color, label=name,
                         **_marks(steps))
        axes[1].set(ylabel="held-out endings, share", ylim=(-0.03, 1.03))
        axes[1].legend(loc="lower right")
    if reward is not None:
        _both(axes[-1], steps, reward)
        axes[-1].set(ylabel="squared error of the reward")
    return figure


def _both(ax: Axes, places: Column, curve: Curve) -> None:
    """One quantity on training and on held-out data."""
    x = _floats(places)
    ax.plot(x, _floats(curve["training"]), color=BLUE, label="training", **_marks(places))
    ax.plot(x, _floats(curve["held_out"]), color=VERMILION, linestyle=(0, (3, 1)),
            label="held out", **_marks(places))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _marks(places: Column) -> dict[str, Any]:
    """A few points are shown as points; many are a line."""
    return {"marker": "o" if len(places) <= 12 else ""}


def _floats(column: Column) -> np.ndarray:
    """What was not measured is NaN, which leaves a gap."""
    return np.array(column, float)
