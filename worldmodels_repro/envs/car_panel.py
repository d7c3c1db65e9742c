"""The instruments below a whole CarRacing picture, from how much of each pixel they cover.

Facts about them (places, lengths, colours, the number's font) are those of gymnasium's
`envs/box2d/car_racing.py`. Bars are upright rectangles with whole corners on its surface, so that
the mean over a pixel is the product of two covered lengths.
"""

from functools import cache, lru_cache
from typing import Any

import numpy as np
from gymnasium.envs.box2d import car_racing as upstream
from numpy.typing import NDArray

from worldmodels_repro.envs.car_drawing import CROP_ROWS, shown

TOP = upstream.WINDOW_H * CROP_ROWS // upstream.STATE_H  # its first row on the surface
WIDTH, HEIGHT = upstream.WINDOW_W, upstream.WINDOW_H - TOP
ROWS, COLUMNS = upstream.STATE_H - CROP_ROWS, upstream.STATE_W
UNIT_W, UNIT_H = upstream.WINDOW_W // 40, upstream.WINDOW_H // 40  # surface pixels
BASE = HEIGHT - UNIT_H  # where the upright bars stand
LEAST = 1e-4  # what is smaller is not drawn
# Speed, then the four wheels: place in units, length in units of what they show.
UPRIGHT = ((5, 0.02, (255, 255, 255)), (7, 0.01, (0, 0, 255)), (8, 0.01, (0, 0, 255)),
           (9, 0.01, (51, 0, 255)), (10, 0.01, (51, 0, 255)))
# The front wheels' turn, and the hull's: from the place on, to either side.
LYING = ((20, -10.0, (0, 255, 0)), (30, -0.8, (255, 0, 0)))
TEXT_COLUMNS = 12

Table = NDArray[np.float32]


def _covered(pixels: int, length: int, low: Any, high: Any) -> Table:
    """The share of each of so many pixels, of a surface's length, within [low, high), (n, pixels).

    Args:
        low, high: (n,) surface pixels.
    """
    edges = np.arange(pixels + 1) * (length / pixels)
    bounds = np.clip(edges, np.reshape(low, (-1, 1)), np.reshape(high, (-1, 1)))
    return (np.diff(bounds, axis=1) * (pixels / length)).astype(np.float32)


def _bars(pixels: int, length: int, base: int) -> Table:
    """Bars from a base to each place of a surface, corners included; the last one is empty."""
    ends = np.arange(length)
    bars = _covered(pixels, length, np.minimum(ends, base), np.maximum(ends, base) + 1)
    return np.concatenate([bars, np.zeros((1, pixels), np.float32)])


@cache
def _tables() -> tuple[Table, Table, list[Table], Table]:
    """What is known of all panels.

    Returns:
        The rows of an upright bar that ends there (HEIGHT + 1, ROWS); the upright bars' columns in
        colour (5, COLUMNS * 3); for each lying bar its columns (WIDTH + 1, COLUMNS); the lying
        ones' rows (ROWS,).
    """
    places = np.array([place for place, _, _ in UPRIGHT])
    # Corners are part of a bar, but the next bar is drawn over the last column.
    ends = (places + 1) * UNIT_W + np.isin(places + 1, places, invert=True)
    columns = _covered(COLUMNS, WIDTH, places * UNIT_W, ends)  # (5, COLUMNS)
    colors = np.array([shown(*color)[:3] for _, _, color in UPRIGHT], np.float32)
    first = HEIGHT - 4 * UNIT_H
    return (_bars(ROWS, HEIGHT, BASE), (columns[:, :, None] * colors[:, None]).reshape(5, -1),
            [_bars(COLUMNS, WIDTH, place * UNIT_W) for place, _, _ in LYING],
            _covered(ROWS, HEIGHT, [first], [first + 2 * UNIT_H + 1])[0])


@lru_cache(4096)
def _number(text: str) -> Table:
    """The score as gymnasium writes it, (ROWS, TEXT_COLUMNS * 3)."""
    import pygame  # not for those who crop the instruments off

    pygame.font.init()
    font = pygame.font.Font(pygame.font.get_default_font(), 42)
    written = font.render(text, True, (255, 255, 255), (0, 0, 0))
    place = written.get_rect()
    place.center = (60, int(upstream.WINDOW_H - upstream.WINDOW_H * 2.5 / 40.0) - TOP)
    surface = pygame.Surface((WIDTH, HEIGHT))
    surface.blit(written, place)
    small = pygame.transform.smoothscale(surface, (COLUMNS, ROWS))
    picture = pygame.surfarray.array3d(small).transpose(1, 0, 2)[:, :TEXT_COLUMNS]
    return picture.reshape(ROWS, -1).astype(np.float32)


def _end(value: float, base: int, reach: float, length: int) -> int:
    """Where a bar ends on the surface; -1, the empty bar's place, where there is none."""
    return min(max(int(base + reach * value), 0), length - 1) if abs(value) > LEAST else -1


class Panel:
    """Draws on (ROWS, COLUMNS, 3) uint8, always the same."""

    def __init__(self, canvas: NDArray[np.uint8]) -> None:
        self._canvas = canvas
        self._heights, upright, self._reaches, across = _tables()
        self._rows = np.zeros((7, ROWS), np.float32)
        self._columns = np.zeros((7, COLUMNS * 3), np.float32)
        self._columns[:5] = upright
        self._rows[5:] = across
        # Each lying bar is of one colour channel: a strided row of it.
        self._lying = [(self._columns[5 + k, int(np.argmax(color))::3], shown(*color)[:3])
                       for k, (_, _, color) in enumerate(LYING)]
        self._picture = np.empty((ROWS, COLUMNS * 3), np.float32)

    def draw(self, car: Any, reward: float) -> None:
        """Show a car's instruments, and the episode's score."""
        wheels = car.wheels
        values = (car.hull.linearVelocity.length, *(float(wheel.omega) for wheel in wheels))
        self._heights.take([_end(value, BASE, -reach * UNIT_H, HEIGHT)
                            for value, (_, reach, _) in zip(values, UPRIGHT, strict=True)], 0,
                           self._rows[:5], "wrap")
        turns = (wheels[0].joint.angle, car.hull.angularVelocity)
        for turn, (place, reach, _), bars, (row, color) in zip(turns, LYING, self._reaches,
                                                               self._lying, strict=True):
            end = _end(turn, place * UNIT_W, reach * UNIT_W, WIDTH)
            np.multiply(bars[end], max(color), row)
        picture = self._picture
        np.matmul(self._rows.T, self._columns, picture)
        picture[:, :3 * TEXT_COLUMNS] += _number(f"{reward:04.0f}")
        np.minimum(picture, 255.0, picture)
        self._canvas[...] = picture.reshape(self._canvas.shape)
