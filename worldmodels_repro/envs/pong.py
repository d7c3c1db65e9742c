"""Pong for a world model to learn: two paddles, both of them the player's, and a ball.

Each paddle stays, goes up or goes down, a pixel a step: 3 x 3 = 9 choices. The ball flies a pixel a
step, in a direction that is uniform over the circle at the serve, and is reflected by what it
meets. A return is worth 1; the episode ends where a paddle has missed.
"""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.game import one_of
from worldmodels_repro.envs.small import FIELD, WHITE, SmallGame, cover, white_place

WIDE, TALL = 5, 15  # of a paddle
BALL = 1.0  # half of the ball's side
MOVES = (0, -1, 1)  # of a paddle, for each of its choices: stay, up, down
LEFT, RIGHT = 0, 2  # the paddles' colours: red and blue


class Pong(SmallGame):
    """The game; choice 3 l + r is the left paddle's l and the right one's r."""

    def __init__(self, render_mode: str | None = None):
        super().__init__(9, render_mode)
        self.direction = np.zeros(2)  # of the ball: (x, y), of length 1

    def _begin(self) -> None:
        angle = self.np_random.uniform(0.0, 2.0 * np.pi)
        self.direction = np.array([np.cos(angle), np.sin(angle)])
        self._ball = np.full(2, FIELD / 2)
        self._tops = [(FIELD - TALL) // 2] * 2
        self._missed = False

    def _move(self, choice: int) -> tuple[float, bool]:
        for paddle, own in enumerate(divmod(choice, 3)):
            self._tops[paddle] = min(max(self._tops[paddle] + MOVES[own], 0), FIELD - TALL)
        self._ball += self.direction
        x, y = self._ball
        if not BALL <= y <= FIELD - BALL:
            self._ball[1] = 2.0 * (BALL if y < BALL else FIELD - BALL) - y
            self.direction[1] *= -1.0
        side = int(self.direction[0] > 0)
        face = FIELD - WIDE - BALL if side else WIDE + BALL
        reward = 0.0
        if not self._missed and (x > face if side else x < face):
            middle = self._tops[side] + TALL / 2
            if abs(self._ball[1] - middle) <= TALL / 2 + BALL:
                self._ball[0] = 2.0 * face - x
                self.direction[0] *= -1.0
                reward = 1.0
            else:
                self._missed = True
        return reward, not BALL < self._ball[0] < FIELD - BALL

    def _draw(self, picture: np.ndarray) -> None:
        left, right = self._tops
        picture[left:left + TALL, :WIDE, LEFT] = WHITE
        picture[right:right + TALL, -WIDE:, RIGHT] = WHITE
        shade = np.outer(cover(self._ball[1], BALL), cover(self._ball[0], BALL))
        np.maximum(picture, (WHITE * shade).round().astype(np.uint8)[..., None], out=picture)


class Follower:
    """Plays both paddles: one follows the ball while that is on its side, else it swings.

    Args:
        rng: its own, for one episode.
        share: of its steps that are uniformly random choices in place of that.
    """

    def __init__(self, rng: np.random.Generator, share: float):
        self._rng, self._share, self._step = rng, share, 0
        self._phases = rng.uniform(0.0, 2.0 * np.pi, 2)

    def act(self, frame: np.ndarray) -> np.ndarray:
        """A frame (64, 64, 3) -> the choice's action (9,)."""
        self._step += 1
        if self._rng.random() < self._share:
            return _action(int(self._rng.integers(9)))
        x, y = white_place(frame)
        own = []
        for paddle, colour in enumerate((LEFT, RIGHT)):
            there = FIELD / 2 * (1.0 + 0.5 * np.sin(self._phases[paddle] + self._step / 10))
            if (x > FIELD / 2) == bool(paddle):
                there = y
            rows = np.flatnonzero(frame[:, 0 if paddle == 0 else -1, colour] > 0)
            off = there - (rows.mean() + 0.5) / 2
            own.append(0 if abs(off) < 1.0 else 1 if off < 0 else 2)
        return _action(3 * own[0] + own[1])


def serve(seed: int) -> np.ndarray:
    """(sin, cos) of the direction in which the ball of this seed's episode is served."""
    env = Pong()
    env.reset(seed=seed)
    return env.direction[::-1].astype(np.float32)


def mirrored(actions: np.ndarray) -> np.ndarray:
    """Actions (..., 9) with the paddles' parts exchanged."""
    pairs = actions.reshape(*actions.shape[:-1], 3, 3)
    return np.ascontiguousarray(pairs.swapaxes(-1, -2)).reshape(actions.shape)


def keys() -> dict[str, tuple[float, ...]]:
    """w and s move the left paddle, up and down the right one; two keys at once add up."""
    moves = {"w": (1, None), "s": (2, None), "up": (None, 1), "down": (None, 2)}
    return {key: tuple(0.5 * (left == own[0] or right == own[1])
                       for left in range(3) for right in range(3))
            for key, own in moves.items()}


def _action(choice: int) -> np.ndarray:
    return one_of(np.eye(9)[choice])
