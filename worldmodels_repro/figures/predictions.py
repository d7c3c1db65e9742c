"""What M expects against what comes."""

from __future__ import annotations

from matplotlib.figure import Figure

from worldmodels_repro.figures.style import BLUE, new_figure
from worldmodels_repro.tables import Predictions


def draw_predictions(table: Predictions) -> Figure:
    """M's next latent, mean and one standard deviation of the mixture, against V's.

    Dots are the draws from V's posteriors that M is fed; the black line is the posterior mean.
    """
    t, dimensions = table["step"], table["dimensions"]
    figure = new_figure("page", 0.75 * len(dimensions) + 0.75)
    axes = figure.subplots(len(dimensions), 1, sharex=True, squeeze=False)[:, 0]
    for ax, row in zip(axes, dimensions, strict=True):
        ax.fill_between(t, row["low"], row["high"], color=BLUE, alpha=0.25, linewidth=0,
                        label="M: ± 1 standard deviation")
        ax.plot(t, row["mean"], color=BLUE, label="M: mean")
        ax.plot(t, row["posterior"], color="black", linewidth=0.7, label="V: mean")
        ax.plot(t, row["draw"], "o", color="black", markersize=1.4, label="V: draw")
        ax.set_ylabel(f"$z_{{{row['dimension'] + 1}}}$")
    axes[-1].set(xlabel="step of the episode", xlim=(t[0], t[-1]))
    figure.align_ylabels(axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure
