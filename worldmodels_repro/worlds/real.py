"""The real game as a world: environments, V and M; C sees features and knows no more."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.registry import GAMES, Renderer
from worldmodels_repro.seeds import generator
from worldmodels_repro.worlds.agent import Body, Senses


class RealWorld:
    """B games in lockstep.

    Args:
        body: V, M and the wiring.
        slots: B.
        renderer: ``fast`` to train, ``original`` to judge.
    """

    def __init__(self, body: Body, slots: int, renderer: Renderer):
        self.slots = slots
        self._game = GAMES[body.game]
        self._envs = [self._game.make(renderer) for _ in range(slots)]
        self._senses = Senses(body, slots)
        self._frames = np.zeros((slots, 64, 64, 3), np.uint8)
        self._noise = np.zeros((slots, self._game.max_steps + 1, body.z), np.float32)
        self._steps = np.zeros(slots, int)
        self._all = np.arange(slots)
        self._live = np.zeros(slots, bool)
        self._rewards = np.zeros(slots)
        self._dones = np.zeros(slots, bool)

    def reset(self, slot: int, seed: int) -> None:
        """Begin the episode of this seed: its track and every draw of z within it."""
        self._frames[slot] = self._envs[slot].reset(seed=seed)[0]
        generator(seed).standard_normal(dtype=np.float32, out=self._noise[slot])
        self._steps[slot] = 0
        self._live[slot] = True
        self._senses.forget(slot)

    def rest(self, slot: int) -> None:
        """Nothing more to play in this slot."""
        self._live[slot] = False

    def features(self) -> np.ndarray:
        """What C sees now, (B, F); the array is reused by the next call."""
        return self._senses.see(self._frames, self._noise[self._all, self._steps],
                                np.flatnonzero(self._live))

    def step(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """C's outputs (B, actions) -> rewards (B,) and whether each episode ended (B,)."""
        actions = self._game.squash(outputs)
        for slot in np.flatnonzero(self._live):
            frame, reward, terminated, truncated, _ = self._envs[slot].step(actions[slot])
            self._frames[slot] = frame
            self._rewards[slot] = reward
            self._dones[slot] = terminated or truncated
            self._steps[slot] += 1
        self._senses.remember(actions)
        return self._rewards, self._dones

    def close(self) -> None:
        """Close the games."""
        for env in self._envs:
            env.close()
