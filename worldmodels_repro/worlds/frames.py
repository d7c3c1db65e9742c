"""Games as they are: frames or states to see, actions to take. V and M come on top, or not."""

from __future__ import annotations

import gymnasium
import numpy as np

from worldmodels_repro.envs.game import Game, Renderer
from worldmodels_repro.frame import FRAME


class _Games:
    """B environments in lockstep.

    Args:
        envs: B.
        seen: (B, ...) zeros, which will hold what is seen.

    Attributes:
        live: (B,) whether an episode is played in a slot.
        terminated: (B,) whether the last step ended an episode (rather than its time).
    """

    def __init__(self, envs: list[gymnasium.Env[np.ndarray, np.ndarray]], seen: np.ndarray):
        slots = self.slots = len(envs)
        self._envs, self._seen = envs, seen
        self.live = np.zeros(slots, bool)
        self.terminated = np.zeros(slots, bool)
        self._rewards, self._dones = np.zeros(slots), np.zeros(slots, bool)

    def reset(self, slot: int, seed: int) -> None:
        """Begin the episode of this seed."""
        self._seen[slot] = self._envs[slot].reset(seed=seed)[0]
        self.live[slot] = True

    def rest(self, slot: int) -> None:
        """Nothing more to play in this slot."""
        self.live[slot] = False

    def features(self) -> np.ndarray:
        """What is seen now, (B, ...); the array is reused by the next step."""
        return self._seen

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Actions (B, A) -> rewards (B,) and whether each episode ended (B,)."""
        for slot in np.flatnonzero(self.live):
            seen, reward, terminated, truncated, _ = self._envs[slot].step(actions[slot])
            self._seen[slot] = seen
            self._rewards[slot] = reward
            self.terminated[slot], self._dones[slot] = terminated, terminated or truncated
        return self._rewards, self._dones


class FramesWorld(_Games):
    """B games in lockstep, frames (B, 64, 64, 3) uint8.

    Args:
        game: which.
        slots: B.
        renderer: ``fast`` to train, ``original`` to judge.
    """

    def __init__(self, game: Game, slots: int, renderer: Renderer):
        super().__init__([game.make(renderer) for _ in range(slots)],
                         np.zeros((slots, *FRAME), np.uint8))


class StatesWorld(_Games):
    """B games in lockstep, their own states (B, S) float32; nothing is rendered.

    Args:
        game: one that has a state.
        slots: B.
    """

    def __init__(self, game: Game, slots: int):
        super().__init__([game.make_states() for _ in range(slots)],
                         np.zeros((slots, game.state), np.float32))
