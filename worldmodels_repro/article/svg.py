"""Figures as SVG: drawn by the same rules every time, coloured by the page, text as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal

import numpy as np

from worldmodels_repro.records import JudgedEpisode, Summary

Kind = Literal["agent", "other", "third"]
Points = Iterable[tuple[float, float | None]]
WIDTH = 660
LETTER = 6.6  # the width of most letters, at the page's size
FEW = 12  # points that are shown as such


class Plot:
    """Lines over two axes.

    Args:
        label: what the figure shows, for those who can't see it.
        x, y: the ranges that are shown.
        titles: of the axes.
        height: in the page's pixels, at full width.
    """

    LEFT, RIGHT, TOP, BOTTOM = 52, 12, 26, 40

    def __init__(self, label: str, x: tuple[float, float], y: tuple[float, float],
                 titles: tuple[str, str], height: int = 230):
        self._label, self._x, self._y, self._height = label, x, y, height
        self._parts: list[str] = []
        self._legend: list[tuple[Kind, str]] = []
        bottom = height - self.BOTTOM
        for value in ticks(*x):
            self._parts.append(_text(self.across(value), bottom + 15, number(value), "middle"))
        for value in ticks(*y):
            at = self.up(value)
            self._parts.append(f'<path class="tick" d="M{self.LEFT} {at:.1f}H'
                               f'{WIDTH - self.RIGHT}"/>')
            self._parts.append(_text(self.LEFT - 7, at + 4, number(value), "end"))
        self._parts.append(_text((self.LEFT + WIDTH - self.RIGHT) / 2, height - 6, titles[0],
                                 "middle"))
        self._parts.append(_text(0, 12, titles[1], "start"))
        self._title = titles[1]

    def across(self, value: float) -> float:
        """Where a value of x is."""
        low, high = self._x
        return self.LEFT + (value - low) / (high - low) * (WIDTH - self.LEFT - self.RIGHT)

    def up(self, value: float) -> float:
        """Where a value of y is."""
        low, high = self._y
        span = self._height - self.TOP - self.BOTTOM
        return self.TOP + (high - min(max(value, low), high)) / (high - low) * span

    def line(self, points: Points, kind: Kind, name: str) -> None:
        """A curve, with dots where it has few points; those without a value are passed over."""
        there = [(self.across(x), self.up(y)) for x, y in points if y is not None]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in there)
        if there:
            self._parts.append(f'<path class="curve {kind}" d="M{path}"/>')
            self._legend.append((kind, name))
        if len(there) <= FEW:
            self._parts += [f'<circle class="{kind}-fill" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'
                            for x, y in there]

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float],
             kind: Kind) -> None:
        """What lies between two curves."""
        edge = [f"{self.across(a):.1f} {self.up(b):.1f}"
                for a, b in [*zip(x, high, strict=True), *reversed([*zip(x, low, strict=True)])]]
        self._parts.append(f'<path class="{kind}-fill band" d="M{"L".join(edge)}Z"/>')

    def interval(self, x: float, low: float, high: float, kind: Kind) -> None:
        """An interval, with a dot in its middle."""
        at, middle = self.across(x), (self.up(low) + self.up(high)) / 2
        self._parts.append(f'<path class="{kind}" d="M{at:.1f} {self.up(low):.1f}V'
                           f'{self.up(high):.1f}"/><circle class="{kind}-fill" cx="{at:.1f}" '
                           f'cy="{middle:.1f}" r="3"/>')

    def rule(self, y: float, name: str) -> None:
        """A level worth knowing."""
        if self._y[0] <= y <= self._y[1]:
            at = self.up(y)
            self._parts.append(f'<path class="dash" d="M{self.LEFT} {at:.1f}H'
                               f'{WIDTH - self.RIGHT}"/>')
            self._parts.append(_text(WIDTH - self.RIGHT, at - 4, name, "end"))

    def svg(self) -> str:
        """The figure."""
        legend, at = [], LETTER * len(self._title) + 16
        for kind, name in self._legend:
            legend.append(f'<path class="curve {kind}" d="M{at:.1f} 8h16"/>')
            legend.append(_text(at + 22, 12, name, "start"))
            at += LETTER * len(name) + 36
        return _figure(self._label, self._height, [*self._parts, *legend])


def scores(label: str, rows: Sequence[tuple[str, Summary, Sequence[JudgedEpisode]]],
           solved: float) -> str:
    """Every episode's score, a row a player, with the mean and its 95 % interval."""
    all_scores = [episode["score"] for _, _, episodes in rows for episode in episodes]
    low, high = min([0.0, *all_scores]), max([solved, *all_scores])
    left, right, row_height = 24 + LETTER * max(len(name) for name, _, _ in rows), 16, 46
    bottom = row_height * len(rows) + 8

    def across(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDTH - left - right)

    rng = np.random.default_rng(0)
    parts = [f'<path class="tick" d="M{across(value):.1f} 4V{bottom}"/>'
             + _text(across(value), bottom + 15, number(value), "middle")
             for value in ticks(low, high)]
    parts.append(f'<path class="dash" d="M{across(solved):.1f} 4V{bottom}"/>')
    parts.append(_text(across(solved) - 4, 11, f"solved: {number(solved)}", "end"))
    for place, (name, row, episodes) in enumerate(rows):
        middle = row_height * place + 26
        kind = "other" if name.endswith("random") else "agent"
        parts.append(_text(left - 12, middle + 4, name, "end"))
        for episode in episodes:
            parts.append(f'<circle class="{kind}-fill dot" cx="{across(episode["score"]):.1f}" '
                         f'cy="{middle + rng.uniform(2, 15):.1f}" r="2.2"/>')
        start, end = (across(value) for value in row["ci95"])
        mean = across(row["mean"])
        parts.append(f'<path class="mark" d="M{start:.1f} {middle - 5}H{end:.1f}"/>'
                     f'<path class="mark-fill" d="M{mean:.1f} {middle - 10}l4 5l-4 5l-4-5Z"/>')
    return _figure(label, bottom + 22, parts)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within a range: 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [count * step for count in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """As few digits as tell it, with a true minus sign."""
    text = f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _figure(label: str, height: float, parts: Iterable[str]) -> str:
    return (f'<div class="scroll chart" tabindex="0" role="group" aria-label="figure">'
            f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}">'
            f'{"".join(parts)}</svg></div>')
