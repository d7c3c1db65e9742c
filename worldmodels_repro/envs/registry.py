"""The games, by name: all that a stage must know of one stands in its row here.

Stages and worlds never ask which game they are in; they ask the :class:`Game`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium
import numpy as np

from worldmodels_repro.envs import car_racing, take_cover
from worldmodels_repro.errors import UserError

Renderer = Literal["fast", "original"]


@dataclass(frozen=True)
class Game:
    """One game.

    Attributes:
        name: as configs write it.
        judge_id: the unmodified environment that scores are reported on.
        fast_id: the same dynamics as 64x64x3 frames, in less time.
        frames: the judge's environment -> one that shows V's frames, (64, 64, 3) uint8, and takes
            the game's actions, (actions,) float32.
        require: refuses what is installed where the game can't be played with it (UserError).
        first_action: what the first number of an action is called.
        low, high: (actions,) the range of each action.
        squash: C's tanh outputs (B, actions) -> actions in range, row by row.
        taken: actions (..., actions) -> one for all that the game does not tell apart.
        mirrored: actions (..., actions) -> what they are in the game's mirror image; None where
            left and right are not alike.
        solved: the score that counts as solved.
        milestones: scores on the way, whose price is worth knowing.
        max_steps: the longest episode that is judged.
        keys: what each key adds to the action of a person who plays; none, and nobody can.
        fps: steps a second for those who watch or play.
    """

    name: str
    judge_id: str
    fast_id: str
    frames: Callable[[gymnasium.Env[Any, Any]], gymnasium.Env[np.ndarray, np.ndarray]]
    require: Callable[[Renderer], None]
    first_action: str
    low: np.ndarray
    high: np.ndarray
    squash: Callable[[np.ndarray], np.ndarray]
    taken: Callable[[np.ndarray], np.ndarray]
    mirrored: Callable[[np.ndarray], np.ndarray] | None
    solved: float
    milestones: tuple[float, ...]
    max_steps: int
    keys: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    fps: int = 50

    @property
    def actions(self) -> int:
        """Numbers in an action."""
        return len(self.low)

    def told(self, taken: bool) -> Callable[[np.ndarray], np.ndarray]:
        """What M is told of actions: how the game takes them, or their very numbers."""
        return self.taken if taken else lambda actions: actions

    def random_action(self, rng: np.random.Generator) -> np.ndarray:
        """A uniform action, (actions,) float32."""
        return rng.uniform(self.low, self.high).astype(np.float32)

    def make(self, renderer: Renderer,
             render_mode: str | None = None) -> gymnasium.Env[np.ndarray, np.ndarray]:
        """An environment of V's frames, (64, 64, 3) uint8, whose episodes end by ``max_steps``.

        Raises:
            UserError: it can't be played with what is installed.
        """
        self.require(renderer)
        if renderer == "fast":
            return gymnasium.make(self.fast_id, disable_env_checker=True, render_mode=render_mode)
        return self.frames(gymnasium.make(
            self.judge_id, disable_env_checker=True, render_mode=render_mode,
            max_episode_steps=self.max_steps))


class Seen(gymnasium.ObservationWrapper[np.ndarray, np.ndarray, Any]):
    """The judge's environment, its observations cropped and resized to what V sees."""

    def __init__(self, env: gymnasium.Env[Any, np.ndarray], see: Callable[[Any], np.ndarray]):
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
        self._see = see

    def observation(self, observation: Any) -> np.ndarray:
        """(64, 64, 3) uint8."""
        return self._see(observation)


def _require_gymnasium(renderer: Renderer) -> None:
    if renderer == "fast":
        try:
            car_racing.check_gymnasium()
        except RuntimeError as error:
            raise UserError(str(error)) from None


def _steer_gas_brake(values: np.ndarray) -> np.ndarray:
    """tanh outputs -> steer in [-1, 1], gas in [0, 1], brake in [0, 1] (released code)."""
    actions = values.astype(np.float32)
    actions[:, 1] = (actions[:, 1] + 1.0) / 2.0
    np.clip(actions[:, 2], 0.0, 1.0, out=actions[:, 2])
    return actions


GAMES: dict[str, Game] = {
    "car_racing": Game(
        name="car_racing",
        judge_id="CarRacing-v3",
        fast_id="worldmodels/CarRacingFast-v0",
        frames=lambda env: Seen(env, car_racing.crop_and_resize),
        require=_require_gymnasium,
        first_action="steering",
        low=np.array([-1.0, 0.0, 0.0], np.float32),
        high=np.array([1.0, 1.0, 1.0], np.float32),
        squash=_steer_gas_brake,
        taken=lambda actions: actions,
        mirrored=lambda actions: actions * np.array([-1.0, 1.0, 1.0], np.float32),
        solved=900.0,
        milestones=(800.0, 850.0, 880.0, 900.0),
        max_steps=1000,
        keys={"left": (-1.0, 0.0, 0.0), "right": (1.0, 0.0, 0.0), "up": (0.0, 1.0, 0.0),
              "down": (0.0, 0.0, 0.8)},
    ),
    "take_cover": Game(
        name="take_cover",
        judge_id=take_cover.JUDGE,
        fast_id="worldmodels/TakeCoverFast-v0",
        frames=take_cover.TakeCover,
        require=lambda renderer: take_cover.require_vizdoom(),
        first_action="left or right",
        low=np.array([-1.0], np.float32),
        high=np.array([1.0], np.float32),
        squash=lambda outputs: outputs.astype(np.float32),
        taken=take_cover.thirds,
        mirrored=np.negative,
        solved=750.0,
        milestones=(400.0, 750.0, 1000.0),
        max_steps=take_cover.MAX_TICS,
        keys={"left": (-1.0,), "right": (1.0,)},
        fps=35,
    ),
}
