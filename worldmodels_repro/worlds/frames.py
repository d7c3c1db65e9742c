"""Games as they are: frames or states to see, actions to take. V and M come on top, or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from worldmodels_repro.data.stacks import Sight, Stacks
from worldmodels_repro.envs.game import Game, Renderer
from worldmodels_repro.frame import FRAME
from worldmodels_repro.worlds.episodes import FramesToPlay


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
        self._see(slot, *self._envs[slot].reset(seed=seed))
        self.live[slot] = True

    def rest(self, slot: int) -> None:
        """Nothing more to play in this slot."""
        self.live[slot] = False

    def features(self) -> np.ndarray:
        """What is seen now, (B, ...); the array is reused by the next step."""
        return self._seen

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Actions (B, A) -> rewards (B,) and whether each episode ended (B,)."""
        for slot in map(int, np.flatnonzero(self.live)):
            seen, reward, terminated, truncated, info = self._envs[slot].step(actions[slot])
            self._see(slot, seen, info)
            self._rewards[slot] = reward
            self.terminated[slot], self._dones[slot] = terminated, terminated or truncated
        return self._rewards, self._dones

    def _see(self, slot: int, seen: np.ndarray, info: dict[str, Any]) -> None:
        self._seen[slot] = seen


class FramesWorld(_Games):
    """B games in lockstep, frames (B, 64, 64, 3) uint8.

    Args:
        game: which.
        slots: B.
        renderer: ``fast`` to train, ``original`` to judge.

    Attributes:
        states: (B, S) float32, the games' own states as the frames show them that were given last:
            S is 0 where a game has none; NaN where its environment of frames does not tell.
    """

    def __init__(self, game: Game, slots: int, renderer: Renderer):
        super().__init__([game.make(renderer) for _ in range(slots)],
                         np.zeros((slots, *FRAME), np.uint8))
        self.states = np.zeros((slots, game.state), np.float32)
        self._now = self.states.copy()

    def features(self) -> np.ndarray:
        """Frames as they are now, (B, 64, 64, 3); the array is reused by the next step."""
        self.states[:] = self._now
        return super().features()

    def _see(self, slot: int, seen: np.ndarray, info: dict[str, Any]) -> None:
        super()._see(slot, seen, info)
        if self._now.shape[1]:
            self._now[slot] = info.get("observation", np.nan)


class StacksWorld:
    """B games in lockstep, seen without V: stacks of frames (B, 64, 64, C) uint8, or what an
    encoder makes of them, (B, F) float32.

    A step is ``sight.skip`` steps of the game with the same action, and their rewards' sum.

    Args:
        games: of frames, real ones or predicted; B.
        sight: how frames are seen.
        encode: stacks -> what is seen of them.
    """

    def __init__(self, games: FramesToPlay, sight: Sight,
                 encode: Callable[[np.ndarray], np.ndarray] = lambda stacks: stacks):
        self.slots, self._skip, self._encode = games.slots, sight.skip, encode
        self._games, self._stacks = games, Stacks(sight, games.slots)

    def reset(self, slot: int, seed: int) -> None:
        """Begin the episode of this seed."""
        self._games.reset(slot, seed)
        self._stacks.begin(slot, self._games.features()[slot])

    def rest(self, slot: int) -> None:
        """Nothing more to play in this slot."""
        self._games.rest(slot)

    def features(self) -> np.ndarray:
        """What is seen now; the array may be reused by the next step."""
        return self._encode(self._stacks.seen)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Actions (B, A) -> rewards (B,) and whether each episode ended (B,)."""
        playing = np.flatnonzero(self._games.live)
        total, over = np.zeros(self.slots), np.zeros(self.slots, bool)
        for _ in range(self._skip):
            going = np.flatnonzero(self._games.live)
            rewards, dones = self._games.step(actions)
            total[going] += rewards[going]
            over[going] = dones[going]
            for slot in going[dones[going]]:  # it waits for the others
                self._games.rest(slot)
        frames = self._games.features()
        for slot in map(int, playing):
            self._stacks.go_on(slot, frames[slot])
        return total, over

    @property
    def terminated(self) -> np.ndarray:
        """(B,) whether the last step ended a slot's episode by itself, not by its time."""
        return self._games.terminated


class StatesWorld(_Games):
    """B games in lockstep, their own states (B, S) float32; nothing is rendered.

    Args:
        game: one that has a state.
        slots: B.
    """

    def __init__(self, game: Game, slots: int):
        super().__init__([game.make_states() for _ in range(slots)],
                         np.zeros((slots, game.state), np.float32))
