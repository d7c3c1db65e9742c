"""A run's V, M and C as boxes, with their own numbers (figures 4 and 22 of the paper)."""

from __future__ import annotations

import math
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from worldmodels_repro.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SMALL,
    VERMILION,
    new_figure,
)
from worldmodels_repro.tables import Architecture

WIDE, HIGH = 7.0, 3.1  # the drawing's own units: about inches
ENCODER, DECODER = 2.2, 0.82  # where V's two halves are, upwards
LEFT, Z, RIGHT = 0.3, 3.9, 4.78  # the first map, z, and the boxes of M and C
TALL = 0.8  # a frame
LETTERS = 26  # in a line of a box
ARROW = {"arrowstyle": "-|>", "color": GREY, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0,
         "mutation_scale": 7}


def draw_architecture(table: Architecture) -> Figure:
    """V's maps to scale in their sides, then M and C, and what goes from one to another."""
    figure = new_figure("page", HIGH)
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDE), ylim=(0, HIGH), aspect="equal")
    ax.set_axis_off()
    numbers = {name: f"{count:,} parameters" for name, count in table["parameters"].items()}
    _maps(ax, table["encoder"], ENCODER, BLUE)
    _maps(ax, [*table["decoder"][::-1], [1, table["dense"]]], DECODER, GREEN, backwards=True)
    middle = (ENCODER + DECODER) / 2
    _box(ax, Z, middle, 0.42, 2.0, ORANGE, f"z\n{table['z']}")
    _arrow(ax, (3.45, ENCODER), (Z - 0.21, ENCODER))
    _arrow(ax, (Z - 0.21, DECODER), (3.45, DECODER))
    ax.text(LEFT - 0.2, HIGH - 0.13, f"V: {numbers['V']}", weight="bold", va="center",
            fontsize=SMALL + 0.5)
    ax.text(LEFT - 0.2, HIGH - 0.3, f"frames of {table['game']}", fontsize=SMALL, va="center")
    ax.text(LEFT - 0.2, DECODER + TALL / 2 + 0.12, "V's reconstruction", fontsize=SMALL,
            va="center")
    at = (RIGHT + WIDE - 0.12) / 2
    wide = WIDE - 0.12 - RIGHT
    layers = " then ".join(f"{inputs} × {outputs}" for inputs, outputs in table["layers"])
    _box(ax, at, ENCODER, wide, 0.78, VERMILION,
         f"C: {numbers['C']}\nsees {', '.join(table['sees'])}\n{layers}", bold=True)
    foreseen = " and ".join([f"{table['mixtures']} Gaussians for each z", *table["heads"]])
    _box(ax, at, DECODER, wide, 1.06, BLUE,
         f"M: {numbers['M']}\nLSTM of {table['units']} units\n"
         + textwrap.fill(foreseen, LETTERS), bold=True)
    _arrow(ax, (Z + 0.21, ENCODER), (RIGHT, ENCODER), "z")
    _arrow(ax, (Z + 0.21, DECODER + 0.2), (RIGHT, DECODER + 0.2), "z")
    _arrow(ax, (RIGHT, DECODER - 0.25), (Z + 0.21, DECODER - 0.25), "next z")
    top, bottom = ENCODER - 0.39, DECODER + 0.53
    _arrow(ax, (at - 0.35, bottom), (at - 0.35, top), "h" + ", c" * ("c" in table["sees"]), -0.08)
    _arrow(ax, (at + 0.35, top), (at + 0.35, bottom), "action", 0.08)
    _arrow(ax, (at, ENCODER + 0.39), (at, HIGH - 0.2))
    ax.text(at, HIGH - 0.13, "action: " + ", ".join(table["actions"]), fontsize=SMALL,
            ha="center", va="center")
    return figure


def _maps(ax: Axes, maps: list[list[int]], up: float, color: str, backwards: bool = False) -> None:
    """Maps beside each other: as high as their sides, as wide as their channels' logarithms."""
    step, before = (3.05 - LEFT) / (len(maps) - 1), 0.0
    for number, (side, channels) in enumerate(maps):
        at, high = LEFT + number * step + 0.12, max(TALL * side / 64, 0.05)
        wide = 0.06 + 0.045 * math.log2(channels)
        if number:
            ends = ((before + 0.04, up), (at - wide / 2 - 0.04, up))
            _arrow(ax, *(ends[::-1] if backwards else ends))
        before = at + wide / 2
        ax.add_patch(Rectangle((at - wide / 2, up - high / 2), wide, high, facecolor=color,
                               edgecolor="white", linewidth=0.5, alpha=0.75))
        ax.text(at, up - TALL / 2 - 0.06, f"{side}×{side}\n×{channels}", fontsize=6, ha="center",
                va="top", linespacing=1.0)


def _box(ax: Axes, x: float, y: float, wide: float, high: float, color: str, text: str,
         bold: bool = False) -> None:
    ax.add_patch(FancyBboxPatch((x - wide / 2 + 0.04, y - high / 2 + 0.04), wide - 0.08,
                                high - 0.08, boxstyle="round,pad=0.04", facecolor=color,
                                edgecolor=color, alpha=0.18, linewidth=0))
    first, _, rest = text.partition("\n")
    lines = rest.count("\n") + 2
    ax.text(x, y + 0.085 * (lines - 1), first, ha="center", va="center",
            weight="bold" if bold else "normal", fontsize=SMALL + 0.5)
    ax.text(x, y - 0.085, rest, ha="center", va="center", fontsize=SMALL, linespacing=1.35)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], name: str = "",
           aside: float = 0.0) -> None:
    """An arrow; its name above it, or beside it where it goes up or down."""
    ax.annotate("", end, start, arrowprops=dict(ARROW))
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    if aside:
        ax.text(x + aside, y, name, fontsize=SMALL, va="center",
                ha="left" if aside > 0 else "right")
    else:
        ax.text(x, y + 0.04, name, fontsize=SMALL, va="bottom", ha="center")
