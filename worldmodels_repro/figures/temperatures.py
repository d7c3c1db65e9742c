"""What a dream's temperature is worth: the paper's table 2, drawn."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from worldmodels_repro.figures.scores import solved_line
from worldmodels_repro.figures.style import BLUE, GREY, SMALL, VERMILION, new_figure
from worldmodels_repro.tables import Scored, TemperatureScores


def draw_temperatures(table: TemperatureScores) -> Figure:
    """A row a temperature: mean scores in dream and game with 95 % intervals, and in figures."""
    rows = table["rows"]
    names = [f"{row['temperature']:g}" for row in rows] + ["random"] * (table["random"] is not None)
    figure = new_figure("column", 0.75 + 0.28 * len(names))
    ax, dream, game = figure.subplots(1, 3, sharey=True, width_ratios=(2.5, 1.0, 1.0))
    for place, row in enumerate(rows):
        for score, color, aside in ((row["dream"], BLUE, -0.13), (row["real"], VERMILION, 0.13)):
            ax.plot(score["ci95"], [place + aside] * 2, color=color)
            ax.plot(score["mean"], place + aside, "o", color=color)
        _told(dream, place, row["dream"])
        _told(game, place, row["real"])
    if table["random"] is not None:
        ax.plot(table["random"]["ci95"], [len(rows)] * 2, color=GREY)
        ax.plot(table["random"]["mean"], len(rows), "o", color=GREY)
        _told(game, len(rows), table["random"])
    solved_line(ax, table["solved"], upright=True)
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.6),
           ylabel="temperature τ", xlabel="mean score")
    for column, words, color in ((dream, "in its dream", BLUE), (game, "in the game", VERMILION)):
        column.set_axis_off()
        column.set_title(words, color=color, fontsize=SMALL)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return figure


def _told(ax: Axes, place: int, score: Scored) -> None:
    """Mean and standard deviation."""
    ax.text(0.5, place, f"{score['mean']:.0f} ± {score['std']:.0f}", fontsize=SMALL, ha="center",
            va="center")
