"""What a user brings: a game, a V, a policy and a tracker, none of it in the package."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np

from worldmodels_repro.envs.game import Game, Seen
from worldmodels_repro.models.vae.layers import Conv, Layers
from worldmodels_repro.policies.policy import EachEpisode
from worldmodels_repro.tracking import Place


class Dot(gymnasium.Env[np.ndarray, Any]):
    """A dot to be kept on a line: three choices, +1 a step near it, over when it leaves."""

    observation_space = gymnasium.spaces.Box(0, 255, (48, 80, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None):
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, Any]:
        super().reset(seed=seed)
        self.place = 40
        return self.render(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, Any]:
        self.place += 4 * (int(action) - 1) + int(self.np_random.integers(-2, 3))
        return self.render(), float(abs(self.place - 40) < 8), not 4 < self.place < 76, False, {}

    def render(self) -> np.ndarray:
        picture = np.full((48, 80, 3), 40, np.uint8)
        picture[:, 40] = 90
        left = int(np.clip(self.place, 2, 77))
        picture[20:28, left - 2:left + 3] = (250, 200, 40)
        return picture


gymnasium.register(id="own/Dot-v0", entry_point=Dot)  # type: ignore[arg-type]  # takes classes too

GAME = Game(
    name="dot", judge_id="own/Dot-v0", solved=50.0, max_steps=60, fps=20,
    frames=partial(Seen, act=np.argmax),
    low=np.full(3, -1.0, np.float32), high=np.ones(3, np.float32),
    keys={"left": (1.0, 0.0, 0.0), "right": (0.0, 0.0, 1.0)},
)

SHALLOW = Layers(encoder=(Conv(8, 6, 4), Conv(16, 5, 5)), dense=32,
                 decoder=(Conv(16, 8, 4), Conv(3, 8, 8)))


class _Leaning:
    def __init__(self, rng: np.random.Generator):
        self._choices = rng.integers(0, 3, 60)
        self._step = 0

    def act(self, observation: np.ndarray) -> np.ndarray:
        self._step += 1
        return np.eye(3, dtype=np.float32)[self._choices[self._step // 4 % 60]]


def leaning(game: Game, settings: Any, agent: Any) -> EachEpisode:
    """A choice for four steps at a time."""
    return EachEpisode(_Leaning)


class Notes:
    """A tracker that appends to a text file."""

    def __init__(self, place: Place):
        self._file = place.run / "notes.txt"

    def start(self, config: dict[str, Any]) -> None:
        self._game = config["game"]

    def log(self, values: dict[str, float], step: int, stage: str) -> None:
        with self._file.open("a") as file:
            file.write(f"{self._game.rpartition(':')[2]} {stage} {step} {len(values)}\n")

    def finish(self) -> None:
        pass
