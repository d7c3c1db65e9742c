"""A game in which every action lasts for several steps: frame skip, as of Mnih et al. (2015)."""

from __future__ import annotations

from typing import Any

import gymnasium


class Repeated(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that repeats every action.

    A step's reward is the sum of those of its repetitions, and what is seen is what the last one
    shows. An environment that has a method ``repeat_step`` is asked for all at once, and need not
    draw what nobody sees.

    Args:
        env: any.
        times: that an action is done; fewer where the episode ends.
        most: steps, of so many repetitions each, after which an episode is cut.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], times: int, most: int):
        super().__init__(env)
        self._times, self._most, self._age = times, most, 0
        layer: Any = env
        while not hasattr(type(layer), "repeat_step") and layer is not env.unwrapped:
            layer = layer.env
        self._repeat = getattr(layer, "repeat_step", self._one_by_one)

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self._age = 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Do it so many times."""
        seen, reward, terminated, truncated, info = self._repeat(action, self._times)
        self._age += 1
        return seen, reward, terminated, truncated or self._age >= self._most, info

    def _one_by_one(self, action: Any,
                    times: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        total = 0.0
        for _ in range(times):
            seen, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return seen, total, terminated, truncated, info
