"""CubeCrash: a cube falls towards a wall with a hole in it, and is steered left or right.

A game of gymnasium's forerunner, on a square field: the place and height of all things are drawn
anew for every episode. Through the hole is worth 1, into the wall -1, and both end the episode.
"""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.small import FIELD, WHITE, SmallGame, white_place

HOLE = 8  # pixels wide
THICK = 3  # of the wall
MOVES = (0, -1, 1)  # stay, left, right
WALL = (0, 110, 220)


class CubeCrash(SmallGame):
    """The game."""

    def __init__(self, render_mode: str | None = None):
        super().__init__(3, render_mode)

    def _begin(self) -> None:
        draw = self.np_random.integers
        self._x, self._y = int(draw(1, FIELD - 1)), int(draw(1, FIELD // 6))  # the cube's middle
        self._hole = int(draw(0, FIELD - HOLE + 1))  # its first column
        self._wall = int(draw(FIELD * 2 // 3, FIELD - THICK))  # its first row

    def _move(self, choice: int) -> tuple[float, bool]:
        self._x = min(max(self._x + MOVES[choice], 1), FIELD - 2)
        self._y += 1
        if self._y + 1 < self._wall:
            return 0.0, False
        through = self._hole <= self._x - 1 and self._x + 1 < self._hole + HOLE
        return (1.0 if through else -1.0), True

    def _draw(self, picture: np.ndarray) -> None:
        wall = picture[self._wall:self._wall + THICK]
        wall[:] = WALL
        wall[:, self._hole:self._hole + HOLE] = 0
        picture[self._y - 1:self._y + 2, self._x - 1:self._x + 2] = WHITE


class Steerer:
    """Steers for the hole's middle.

    Args:
        rng: its own, for one episode.
        share: of its steps that are uniformly random choices in place of that.
    """

    def __init__(self, rng: np.random.Generator, share: float):
        self._rng, self._share = rng, share

    def act(self, frame: np.ndarray) -> np.ndarray:
        """A frame (64, 64, 3) -> the choice's action (3,)."""
        if self._rng.random() < self._share:
            return np.eye(3, dtype=np.float32)[self._rng.integers(3)]
        blue = (frame[::2, ::2] == WALL).all(axis=-1)  # (32, 32)
        wall = blue[np.flatnonzero(blue.any(axis=1))[-1]]
        off = np.flatnonzero(~wall).mean() + 0.5 - white_place(frame)[0]
        choice = 0 if abs(off) < 1.0 else 1 if off < 0 else 2
        return np.eye(3, dtype=np.float32)[choice]
