"""Games as they are: frames to see, actions to take. V and M come on top of it, or not at all."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.game import Game, Renderer
from worldmodels_repro.frame import FRAME


class FramesWorld:
    """B games in lockstep.

    Args:
        game: which.
        slots: B.
        renderer: ``fast`` to train, ``original`` to judge.

    Attributes:
        live: (B,) whether an episode is played in a slot.
        terminated: (B,) whether the last step ended an episode (rather than its time).
    """

    def __init__(self, game: Game, slots: int, renderer: Renderer):
        self.slots = slots
        self._envs = [game.make(renderer) for _ in range(slots)]
        self._frames = np.zeros((slots, *FRAME), np.uint8)
        self.live = np.zeros(slots, bool)
        self.terminated = np.zeros(slots, bool)
        self._rewards, self._dones = np.zeros(slots), np.zeros(slots, bool)

    def reset(self, slot: int, seed: int) -> None:
        """Begin the episode of this seed."""
        self._frames[slot] = self._envs[slot].reset(seed=seed)[0]
        self.live[slot] = True

    def rest(self, slot: int) -> None:
        """Nothing more to play in this slot."""
        self.live[slot] = False

    def features(self) -> np.ndarray:
        """The frames now, (B, 64, 64, 3) uint8; the array is reused by the next step."""
        return self._frames

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Actions (B, A) -> rewards (B,) and whether each episode ended (B,)."""
        for slot in np.flatnonzero(self.live):
            frame, reward, terminated, truncated, _ = self._envs[slot].step(actions[slot])
            self._frames[slot] = frame
            self._rewards[slot] = reward
            self.terminated[slot], self._dones[slot] = terminated, terminated or truncated
        return self._rewards, self._dones
