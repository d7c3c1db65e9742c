"""Games that are not quite what an agent knows: other pictures, other roads.

After Tang, Nguyen and Ha 2020, "Neuroevolution of Self-Interpretable Agents", who ask what becomes
of agents where things change that do not matter to the task. A change wraps the judge's
environment, before V's frames are made of it; its draws come from the episode's seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import gymnasium
import numpy as np

from worldmodels_repro.seeds import generator

Env = gymnasium.Env[Any, Any]
Change = Callable[[Env], Env]
Paint = Callable[[np.ndarray, np.random.Generator, np.ndarray], np.ndarray]
"""(picture (H, W, 3) uint8, the episode's draws so far, its tint (3,) in [-1, 1]) -> picture."""


class Repainted(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment whose picture is painted over.

    Args:
        env: its observation is a picture, or a dictionary with one as ``screen``.
        paint: what is done to each picture.
    """

    def __init__(self, env: Env, paint: Paint):
        super().__init__(env)
        self._paint, self._rng, self._tint = paint, generator(0), np.zeros(3)

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self._rng = generator(0 if seed is None else seed, 7)
        self._tint = self._rng.uniform(-1.0, 1.0, 3)
        observation, info = self.env.reset(seed=seed, options=options)
        return self._see(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act once."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._see(observation), reward, terminated, truncated, info

    def _see(self, observation: Any) -> Any:
        if isinstance(observation, dict):
            screen = self._paint(observation["screen"].copy(), self._rng, self._tint)
            return {**observation, "screen": screen}
        return self._paint(observation.copy(), self._rng, self._tint)


class Slippery(gymnasium.Wrapper[Any, Any, Any, Any]):
    """CarRacing whose road holds a car less: the tiles' friction times ``share``."""

    def __init__(self, env: Env, share: float):
        super().__init__(env)
        self._share = share

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        began = self.env.reset(seed=seed, options=options)
        road: Any = self.env.unwrapped.road  # type: ignore[attr-defined]
        for tile in road:
            tile.road_friction *= self._share
        return began


def tinted(picture: np.ndarray, rng: np.random.Generator, tint: np.ndarray) -> np.ndarray:
    """Each colour brighter or darker by up to a fifth of the range, the same for an episode."""
    return np.clip(picture + 51.0 * tint, 0, 255).astype(np.uint8)


def barred(picture: np.ndarray, rng: np.random.Generator, tint: np.ndarray) -> np.ndarray:
    """Black bars left and right, each an eighth of the width."""
    width = picture.shape[1] // 8
    picture[:, :width] = picture[:, -width:] = 0
    return picture


def blotted(picture: np.ndarray, rng: np.random.Generator, tint: np.ndarray) -> np.ndarray:
    """A red disc left of the middle, a sixth of the height across."""
    height, width = picture.shape[:2]
    return np.asarray(cv2.circle(picture, (width // 4, height // 2), height // 12, (255, 0, 0), -1))


def noisy(picture: np.ndarray, rng: np.random.Generator, tint: np.ndarray) -> np.ndarray:
    """Normal noise on every number of every frame, of a tenth of the range."""
    noise = rng.standard_normal(picture.shape, np.float32)
    return np.clip(picture + 25.5 * noise, 0, 255).astype(np.uint8)


def written(picture: np.ndarray, rng: np.random.Generator, tint: np.ndarray) -> np.ndarray:
    """White letters that hover above the middle."""
    height, width = picture.shape[:2]
    return np.asarray(cv2.putText(picture, "TAKE COVER", (width // 6, height // 3),
                                  cv2.FONT_HERSHEY_SIMPLEX, height / 200, (255, 255, 255), 2))


def repainted(paint: Paint) -> Change:
    """A change of the picture."""
    return lambda env: Repainted(env, paint)


PICTURES: dict[str, Change] = {name: repainted(paint) for name, paint in (
    ("colours", tinted), ("bars", barred), ("blob", blotted), ("noise", noisy))}
"""Changes that any game can have."""
