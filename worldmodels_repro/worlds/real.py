"""Games seen through V and M as a world: C sees features and knows no more."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.seeds import generator
from worldmodels_repro.worlds.agent import Body, Senses
from worldmodels_repro.worlds.episodes import FramesToPlay


class RealWorld:
    """B games in lockstep, seen through V and M.

    Args:
        body: V, M and the wiring.
        games: of frames, real ones or predicted; B.
    """

    def __init__(self, body: Body, games: FramesToPlay):
        self.slots = slots = games.slots
        assert body.vision is not None  # StatesWorld is for those without
        self._games, self._senses = games, Senses(body, slots)
        most = game_named(body.game).max_steps
        self._noise = np.zeros((slots, most + 1, body.vision.size), np.float32)
        self._steps = np.zeros(slots, int)
        self._all = np.arange(slots)

    def reset(self, slot: int, seed: int) -> None:
        """Begin the episode of this seed: its track and every draw of z within it."""
        self._games.reset(slot, seed)
        generator(seed).standard_normal(dtype=np.float32, out=self._noise[slot])
        self._steps[slot] = 0
        self._senses.forget(slot)

    def rest(self, slot: int) -> None:
        """Nothing more to play in this slot."""
        self._games.rest(slot)

    def features(self) -> np.ndarray:
        """What C sees now, (B, F); the array is reused by the next call."""
        return self._senses.see(self._games.features(), self._noise[self._all, self._steps],
                                np.flatnonzero(self._games.live))

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Actions (B, A) -> rewards (B,) and whether each episode ended (B,)."""
        rewards, dones = self._games.step(actions)
        self._steps[self._games.live] += 1
        self._senses.remember(actions)
        return rewards, dones

    @property
    def terminated(self) -> np.ndarray:
        """(B,) whether the last step ended a slot's episode by itself, not by its time."""
        return self._games.terminated
