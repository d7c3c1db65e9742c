"""Games of 32 by 32 pixels, drawn twice as large so that they are V's frames."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from worldmodels_repro.frame import FRAME

FIELD = 32  # pixels, the side of the field; (0, 0) is its upper left corner
WHITE = 255


class SmallGame(gymnasium.Env[np.ndarray, int]):
    """What such games share; one of them gives ``_begin``, ``_move`` and ``_draw``.

    Observations are frames (64, 64, 3) uint8, actions are choices.

    Args:
        choices: how many.
        render_mode: ``rgb_array`` or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(self, choices: int, render_mode: str | None = None):
        self.observation_space = spaces.Box(0, 255, FRAME, np.uint8)
        self.action_space: spaces.Space[Any] = spaces.Discrete(choices)
        self.render_mode = render_mode
        self._picture = np.zeros((FIELD, FIELD, 3), np.uint8)

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._begin()
        return self._frame(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Act once."""
        reward, ended = self._move(int(action))
        return self._frame(), reward, ended, False, {}

    def render(self) -> Any:
        """The frame now, (64, 64, 3) uint8; None without a render mode."""
        return None if self.render_mode is None else self._frame()

    def _frame(self) -> np.ndarray:
        self._picture[:] = 0
        self._draw(self._picture)
        return self._picture.repeat(2, axis=0).repeat(2, axis=1)

    def _begin(self) -> None:
        """Draw where things are from ``np_random``."""
        raise NotImplementedError

    def _move(self, choice: int) -> tuple[float, bool]:
        """One step: its reward, and whether it ended the episode."""
        raise NotImplementedError

    def _draw(self, picture: np.ndarray) -> None:
        """Draw on a black field (32, 32, 3)."""
        raise NotImplementedError


def cover(centre: float, half: float) -> np.ndarray:
    """The share of each of a row's pixels that is within ``half`` of ``centre``, (32,)."""
    edges = np.arange(FIELD + 1)
    return np.diff(np.clip(edges, centre - half, centre + half))


def white_place(frames: np.ndarray) -> np.ndarray:
    """Where the white thing is, also in a frame that is only a guess.

    Args:
        frames: (..., S, S, 3), of any scale.

    Returns:
        (..., 2) float64: x and y in the field's pixels, the mean over places weighed by the fourth
        power of their whiteness (a pixel's least colour). A black frame's is the field's centre.
    """
    side = frames.shape[-2]
    weight = frames.min(axis=-1).astype(float) ** 4 + 1e-12  # (..., S, S)
    at = (np.arange(side) + 0.5) * FIELD / side
    total = weight.sum(axis=(-2, -1))
    return np.stack([(weight.sum(axis=-2) * at).sum(axis=-1) / total,
                     (weight.sum(axis=-1) * at).sum(axis=-1) / total], axis=-1)
