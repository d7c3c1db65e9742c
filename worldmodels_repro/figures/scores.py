"""How well agents drive: over the generations, and at the end on held-out tracks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from worldmodels_repro.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    SMALL,
    VERMILION,
    new_figure,
)
from worldmodels_repro.records import Judgement, Summary
from worldmodels_repro.sections import WORLDS
from worldmodels_repro.tables import Ablations, Generations


def draw_generations(table: Generations) -> Figure:
    """Best, mean and worst return of each generation, and what is evaluated on seeds of its own.

    The dark band is one standard deviation over the generation; error bars are 95 % intervals.
    The upper axis says what that had taken: steps that it had played, and hours.
    """
    x, best, mean, std, worst, steps = (np.array(column, float) for column in (
        table["generation"], table["best"], table["mean"], table["std"], table["worst"],
        table["steps"]))
    figure = new_figure("column", 2.6)
    ax = figure.subplots()
    line = 1.2 if len(x) <= 200 else 0.6
    ax.fill_between(x, worst, best, color=BLUE, alpha=0.15, linewidth=0, label="worst to best")
    ax.fill_between(x, np.maximum(mean - std, worst), np.minimum(mean + std, best), color=BLUE,
                    alpha=0.25, linewidth=0, label="mean ± std")
    ax.plot(x, best, color=BLUE, linewidth=0.5 * line)
    ax.plot(x, mean, color=BLUE, linewidth=line, label="mean")
    validations = table["validations"]
    if validations:
        few = len(validations) <= 20
        ax.errorbar([row["generation"] for row in validations],
                    [row["mean"] for row in validations],
                    [row["interval"] for row in validations], color=VERMILION, fmt="o",
                    markersize=3 if few else 1.5, elinewidth=0.8 if few else 0.5,
                    capsize=1.5 if few else 0.0, label="evaluated on other seeds",
                    clip_on=False, zorder=3)
    solved_line(ax, table["solved"])
    ax.set(xlabel="generation", ylabel="return of an episode", xlim=(0, x[-1]))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _upper_axis(ax, steps, np.array(table["hours"], float), WORLDS[table["world"]])
    figure.legend(loc="outside lower center", ncols=2, columnspacing=1.2)
    return figure


def draw_evaluation(table: Judgement) -> Figure:
    """Every held-out episode's score, with each player's mean and its 95 % bootstrap interval."""
    return _strips(table["solved"], [
        (f"{player}\n{_count(row)}", row["mean"], row["ci95"],
         [episode["score"] for episode in table["episodes"][player]],
         BLUE if player == "agent" else ORANGE) for player, row in table["results"].items()])


def draw_ablations(table: Ablations) -> Figure:
    """The same for the agents of runs that share a V: what each one's C sees."""
    return _strips(table["solved"], [
        (f"{row['sees']}\n{row['weights']:,} weights", row["result"]["mean"],
         row["result"]["ci95"], row["scores"], BLUE) for row in table["rows"]])


def _strips(solved: float,
            rows: Sequence[tuple[str, float, Sequence[float], Sequence[float], str]]) -> Figure:
    """Rows of a name, a mean, its interval, every score, and a colour."""
    figure = new_figure("column", 0.8 + 0.5 * len(rows))
    ax = figure.subplots()
    rng = np.random.default_rng(0)
    for place, (_, mean, interval, scores, color) in enumerate(rows):
        ax.scatter(scores, place + rng.uniform(0.0, 0.28, len(scores)), s=7, color=color,
                   alpha=0.55, linewidth=0)
        above = place - 0.17
        ax.plot(interval, [above, above], color="black", linewidth=1.5)
        ax.plot(mean, above, marker="D", color="black", markersize=3.5)
        ax.annotate(f"{mean:.0f}".replace("-", "\N{MINUS SIGN}"),
                    (max(interval[1], mean), above), (5, 0), fontsize=SMALL,
                    textcoords="offset points", ha="left", va="center", zorder=3,
                    bbox={"facecolor": "white", "linewidth": 0, "pad": 0.5})
    solved_line(ax, solved, upright=True)
    ax.set(xlabel="score of an episode", ylim=(len(rows) - 0.6, -0.5), yticks=range(len(rows)),
           yticklabels=[name for name, *_ in rows])
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return figure


def _count(row: Summary) -> str:
    return f"{row['episodes']} episode" + "s" * (row["episodes"] != 1)


def solved_line(ax: Axes, solved: float, upright: bool = False) -> None:
    """Where a game counts as solved, on the axis of scores: the upright one, or the other."""
    style: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (4, 3)),
                             "zorder": 2.5}
    note: dict[str, Any] = {"color": GREY, "fontsize": SMALL, "textcoords": "offset points"}
    if upright:
        ax.axvline(solved, **style)
        ax.annotate("solved", (solved, 1.0), (-2, -2), xycoords=("data", "axes fraction"),
                    ha="right", va="top", **note)
    else:
        ax.axhline(solved, **style)
        ax.annotate("solved", (0.0, solved), (2, -2), xycoords=("axes fraction", "data"),
                    ha="left", va="top", **note)


def _upper_axis(ax: Axes, steps: np.ndarray, hours: np.ndarray, world: str) -> None:
    """What it had taken by the generations that the lower axis names: steps, and hours below."""
    unit, name = (1e6, "million") if steps.sum() >= 2e6 else (1e3, "thousand")
    so_far = np.concatenate([[0.0], np.cumsum(steps) / unit])
    ticks = [int(tick) for tick in ax.get_xticks() if 0 <= tick < len(so_far)]
    upper = ax.secondary_xaxis("top")
    upper.set_xticks(ticks, [f"{so_far[tick]:.3g}\n{[0.0, *hours][tick]:.2g}" for tick in ticks])
    upper.set_xlabel(f"steps of {world} ({name}), and hours")
