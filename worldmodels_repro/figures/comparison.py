"""Groups of runs: their scores seed by seed, and how each got there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from worldmodels_repro.figures.style import BLUE, GREEN, GREY, ORANGE, VERMILION, new_figure
from worldmodels_repro.tables import Comparison, Group

COLORS = (BLUE, VERMILION, GREEN, ORANGE, "#CC79A7", "#56B4E9")
BAND = 3  # seeds from which a band says something


def draw_comparison(table: Comparison) -> Figure:
    """Left: each seed's mean score, the groups' means with 95 % intervals. Right: validations.

    A band is the range over seeds; where a group has fewer than three, each seed has its dots.
    """
    groups = table["groups"]
    figure = new_figure("page", max(2.2, 0.9 + 0.28 * len(groups)))
    scores, curves = figure.subplots(1, 2)
    for row, group in enumerate(groups):
        color = COLORS[row % len(COLORS)]
        low, high = group["ci95"]
        scores.plot([low, high], [row, row], color=color, linewidth=2.0, alpha=0.45)
        scores.plot(group["means"], [row] * len(group["means"]), "o", color=color, alpha=0.6,
                    markeredgewidth=0)
        scores.plot(group["mean"], row, "|", color=color, markersize=11, markeredgewidth=1.6)
        _curve(curves, group, color)
    scores.axvline(table["solved"], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    curves.axhline(table["solved"], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    scores.set(yticks=range(len(groups)), yticklabels=_short([group["name"] for group in groups]),
               ylim=(len(groups) - 0.5, -0.5), xlabel="score on held-out episodes")
    curves.set(xlabel="steps of the game, in millions", ylabel="validated score")
    curves.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: f"{steps / 1e6:g}"))
    return figure


def _curve(ax: Axes, group: Group, color: str) -> None:
    seeds = group["curves"]
    length = min(len(curve["score"]) for curve in seeds)
    steps = np.array([curve["steps"][:length] for curve in seeds], float)
    scores = np.array([curve["score"][:length] for curve in seeds], float)
    if len(seeds) < BAND:
        for x, y in zip(steps, scores, strict=True):
            ax.plot(x, y, "o", color=color, markeredgewidth=0)
        return
    x = steps.mean(axis=0)
    ax.plot(x, scores.mean(axis=0), color=color)
    ax.fill_between(x, scores.min(axis=0), scores.max(axis=0), color=color, alpha=0.2, linewidth=0)


def _short(names: list[str]) -> list[str]:
    """Names without the folders that all of them lie in."""
    outer = os.path.commonpath([Path(name).parent for name in names])
    return [os.path.relpath(name, outer) for name in names]
