"""The real game as C meets it, as a gymnasium environment: features by V and M, and real rewards.

What another library has learnt in ``worldmodels/Dream-v0`` is judged here::

    import gymnasium
    env = gymnasium.make("worldmodels_repro:worldmodels/Seen-v0", run="logs/doom")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from worldmodels_repro.config import load_config
from worldmodels_repro.envs.game import Renderer
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.worlds.agent import load_body
from worldmodels_repro.worlds.frames import FramesWorld
from worldmodels_repro.worlds.real import RealWorld

Info = dict[str, Any]


class SeenEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One game, seen through a run folder's V and M.

    Observations are what C sees (``controller.inputs``), the same as in the run's dream; actions,
    rewards and endings are the game's own.

    Args:
        run: the run folder, e.g. ``logs/doom``; its ``vae`` and ``memory`` stages must be done.
        renderer: ``original``, the unmodified game that scores are reported on, or ``fast``.

    Raises:
        UserError: the folder holds no run, or no V or M.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, run: str | Path, renderer: Renderer = "original"):
        path = Path(run)
        if not (path / "config.yaml").exists():
            raise UserError(f"{path} holds no run (no config.yaml): name a run folder whose memory "
                            "stage is done")
        config = load_config(path / "config.yaml")
        body, game = load_body(path, config), game_named(config.game)
        if body.vision is None:
            raise UserError(f"{path} has no V to see with: gymnasium.make({game.judge_id!r}) is "
                            "its game")
        self._world = RealWorld(body, FramesWorld(game, 1, renderer))
        self._most, self._age = game.max_steps, 0
        self.observation_space = spaces.Box(-np.inf, np.inf, (body.seen,), np.float32)
        self.action_space = spaces.Box(game.low, game.high, dtype=np.float32)

    def reset(self, *, seed: int | None = None,
              options: Info | None = None) -> tuple[np.ndarray, Info]:
        """A new episode; the seed is the game's own, as in a run's list of judged episodes."""
        super().reset(seed=seed)
        self._world.reset(0, int(self.np_random.integers(2**31)) if seed is None else seed)
        self._age = 0
        return self._world.features()[0].copy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        """Action (A,), clipped to the game's ranges -> features, reward, terminated, truncated."""
        box = self.action_space
        assert isinstance(box, spaces.Box)
        clipped = np.clip(np.asarray(action, np.float32), box.low, box.high)
        rewards, dones = self._world.step(clipped[None])
        self._age += 1
        terminated = bool(dones[0]) and bool(self._world.terminated[0])
        over = bool(dones[0]) or self._age >= self._most
        return (self._world.features()[0].copy(), float(rewards[0]), terminated,
                over and not terminated, {})
