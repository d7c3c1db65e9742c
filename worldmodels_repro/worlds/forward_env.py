"""A network that predicts frames, as a gymnasium environment: a game that it has only seen.

::

    import gymnasium, worldmodels_repro.envs
    env = gymnasium.make("worldmodels/Forward-v0", run="logs/pong_rnn_deconv")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from worldmodels_repro.config import load_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.frame import FRAME
from worldmodels_repro.worlds.forward import ForwardWorld, load_forward_dream

Info = dict[str, Any]
RENDER_MODES = ["rgb_array"]


class ForwardEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One dream of a run folder's network.

    An episode begins as one that training held out did: where its context ends. Observations are
    frames (64, 64, 3) uint8, actions are the game's own. The reward and the ending are the
    network's; of one that has learnt none, the reward is 1 a step. An episode is truncated with the
    longest that the game allows.

    Args:
        run: the run folder, e.g. ``logs/pong_rnn_deconv``; its ``forward`` stage must be done.
        render_mode: ``rgb_array`` or None.

    Raises:
        UserError: the folder holds no such network, or the mode is not known.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": 50}  # noqa: RUF012

    def __init__(self, run: str | Path, render_mode: str | None = None):
        path = Path(run)
        if not (path / "forward" / "programs.npz").exists():
            raise UserError(f"{path} holds no network that predicts frames (no forward/"
                            "programs.npz): name a run folder whose forward stage is done")
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise UserError(f"render_mode {render_mode!r} is not known: rgb_array or None is")
        config = load_config(path / "config.yaml")
        game = game_named(config.game)
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": game.fps}
        self.observation_space = spaces.Box(0, 255, FRAME, np.uint8)
        self.action_space = spaces.Box(game.low, game.high, dtype=np.float32)
        self._world = ForwardWorld(load_forward_dream(path, config), 1)

    def reset(self, *, seed: int | None = None,
              options: Info | None = None) -> tuple[np.ndarray, Info]:
        """A new episode: the last frame of its context."""
        super().reset(seed=seed)
        self._world.reset(0, int(self.np_random.integers(2**31)))
        return self._frame(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        """Action (A,), clipped to the game's ranges -> frame, reward, terminated, truncated."""
        box = self.action_space
        assert isinstance(box, spaces.Box)
        clipped = np.clip(np.asarray(action, np.float32), box.low, box.high)
        rewards, dones = self._world.step(clipped[None])
        terminated = bool(self._world.terminated[0])
        return self._frame(), float(rewards[0]), terminated, bool(dones[0]) and not terminated, {}

    def render(self) -> np.ndarray | None:
        """The frame now, (64, 64, 3) uint8; None without a render mode."""
        return None if self.render_mode is None else self._frame()

    def _frame(self) -> np.ndarray:
        return self._world.features()[0].copy()
