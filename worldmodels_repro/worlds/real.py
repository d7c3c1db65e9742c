"""The real game as a world: games, V and M; C sees features and knows no more."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.game import Renderer
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.seeds import generator
from worldmodels_repro.worlds.agent import Body, Senses
from worldmodels_repro.worlds.frames import FramesWorld


class RealWorld:
    """B games in lockstep, seen through V and M.

    Args:
        body: V, M and the wiring.
        slots: B.
        renderer: ``fast`` to train, ``original`` to judge.
    """

    def __init__(self, body: Body, slots: int, renderer: Renderer):
        self.slots = slots
        game = game_named(body.game)
        assert body.vision is not None  # StatesWorld is for those without
        self._games = FramesWorld(game, slots, renderer)
        self._senses = Senses(body, slots)
        self._noise = np.zeros((slots, game.max_steps + 1, body.vision.size), np.float32)
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
