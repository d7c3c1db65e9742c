"""How V and M learned: losses on training and held-out data, from their ``history.csv``."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from worldmodels_repro.errors import UserError
from worldmodels_repro.figures.style import (
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    PAGE,
    VERMILION,
    new_figure,
)
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_csv, needed

Rows = list[dict[str, Any]]


def vae_curves(run: Run) -> Figure:
    """V's loss and its two terms by epoch, each the mean over frames.

    The reconstruction error is the sum of squared errors over a frame's 64x64x3 numbers; the
    loss adds max(KL, tolerance) (appendix A.1).

    Raises:
        UserError: V has not been trained for an epoch.
    """
    rows = _history(run, "vae")
    figure = new_figure(PAGE, 2.0)
    axes = figure.subplots(1, 3)
    labels = {"loss": "loss", "reconstruction": "reconstruction error", "kl": "KL (nats)"}
    for ax, (name, label) in zip(axes, labels.items(), strict=True):
        _both(ax, rows, "epoch", name)
        ax.set(xlabel="epoch", ylabel=label)
    tolerance = run.config.vae.kl_tolerance * run.config.vae.z
    line = axes[2].axhline(tolerance, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    highest = max(tolerance, *_column(rows, "kl"), *_column(rows, "val_kl"))
    axes[2].set_ylim(0.0, 1.08 * highest)
    axes[2].legend([line], ["tolerance"], loc="lower right")
    axes[0].legend(loc="upper right")
    return figure


def memory_curves(run: Run) -> Figure:
    """M's negative log-likelihood of the next latent by gradient step, in nats a dimension.

    Where M has an ending head, its recall and precision on held-out endings stand beside it;
    where it has a reward head, that head's squared error.

    Raises:
        UserError: M has not been trained up to its first validation.
    """
    rows = _history(run, "memory")
    heads = [name for name in ("val_done_recall", "val_reward_loss") if name in rows[-1]]
    figure = new_figure(COLUMN if not heads else PAGE, 2.1)
    axes = list(figure.subplots(1, 1 + len(heads), squeeze=False)[0])
    _both(axes[0], rows, "step", "nll")
    axes[0].set(xlabel="gradient steps", ylabel="NLL (nats per dimension)")
    axes[0].legend(loc="upper right")
    for ax, head in zip(axes[1:], heads, strict=True):
        ax.set(xlabel="gradient steps")
        if head == "val_reward_loss":
            _both(ax, rows, "step", "reward_loss")
            ax.set(ylabel="squared error of the reward")
            continue
        for name, color in (("recall", BLUE), ("precision", GREEN)):
            values = _column(rows, f"val_done_{name}")
            ax.plot(_column(rows, "step"), values, color=color, label=name, **_marks(rows))
        ax.set(ylabel="held-out endings, share", ylim=(-0.03, 1.03))
        ax.legend(loc="lower right")
    return figure


def _history(run: Run, stage: str) -> Rows:
    path = needed(run.folder(stage) / "history.csv", stage)
    rows = load_csv(path)
    if not rows:
        raise UserError(f"{path} holds no row yet")
    return rows


def _both(ax: Axes, rows: Rows, x: str, name: str) -> None:
    """One quantity on training and on held-out data."""
    places = _column(rows, x)
    ax.plot(places, _column(rows, name), color=BLUE, label="training", **_marks(rows))
    ax.plot(places, _column(rows, f"val_{name}"), color=VERMILION, linestyle=(0, (3, 1)),
            label="held out", **_marks(rows))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _marks(rows: Rows) -> dict[str, Any]:
    """A few points are shown as points; many are a line."""
    return {"marker": "o" if len(rows) <= 12 else ""}


def _column(rows: Rows, name: str) -> np.ndarray:
    """One column as floats; what is empty, or was never written, is NaN."""
    values = [row.get(name) for row in rows]
    return np.array([np.nan if value is None else value for value in values], float)
