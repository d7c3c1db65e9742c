"""The one loop in which policies play in a world, and the two contracts that it knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class World(Protocol):
    """Where B episodes go in lockstep, a slot each."""

    slots: int

    def reset(self, slot: int, seed: int) -> None:
        """Begin the episode of this seed in a slot."""

    def rest(self, slot: int) -> None:
        """Leave a slot idle."""

    def features(self) -> np.ndarray:
        """What is seen in each slot, (B, F); frames (B, 64, 64, 3) in a world of those."""

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Actions (B, A) in the game's ranges -> rewards (B,), dones (B,)."""


class EndingWorld(World, Protocol):
    """A world that tells an ending from a cut: what a learner of values must know."""

    @property
    def terminated(self) -> np.ndarray:
        """(B,) whether the last step ended a slot's episode by itself, not by its time."""


class FramesToPlay(EndingWorld, Protocol):
    """A world of frames (B, 64, 64, 3) uint8 that V or C may look at: games, or what predicts them.

    Attributes:
        live: (B,) whether an episode is played in a slot.
    """

    live: np.ndarray


class Policy(Protocol):
    """Who acts in all slots of a world."""

    def reset(self, slot: int, seed: int, episode: int) -> None:
        """An episode begins in a slot: its seed, and its place among those to be played."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        """What is seen in each slot (B, ...) -> actions (B, A) in the game's ranges."""


class Watcher(Protocol):
    """Looks on while episodes are played."""

    def __call__(self, seen: np.ndarray, actions: np.ndarray, rewards: np.ndarray,
                 dones: np.ndarray) -> None:
        """A step: what was seen (B, ...), done (B, A) and came of it (B,), (B,)."""


@dataclass(frozen=True)
class Played:
    """What came of E episodes: their returns (E,) and lengths in steps (E,)."""

    returns: np.ndarray
    steps: np.ndarray


def play(world: World, policy: Policy, seeds: list[int], max_steps: int, patience: int = 0,
         watch: Watcher | None = None) -> Played:
    """Play E episodes; a slot that ends one takes the next, so the batch stays full.

    Args:
        world: where.
        policy: who acts.
        seeds: E seeds.
        max_steps: an episode is cut after so many steps.
        patience: an episode is given up after so many steps in a row without a gain, and its
            return is what it had plus the rest of the time at that drought's mean reward; 0
            never gives up.
        watch: told of every step.
    """
    episodes, slots = len(seeds), world.slots
    returns, steps = np.zeros(episodes), np.zeros(episodes, int)
    playing = np.full(slots, -1)  # the episode in each slot
    total, age = np.zeros(slots), np.zeros(slots, int)
    drought, lost = np.zeros(slots, int), np.zeros(slots)
    upcoming = 0

    def begin(slot: int) -> None:
        nonlocal upcoming
        if upcoming == episodes:
            playing[slot] = -1
            world.rest(slot)
            return
        playing[slot] = upcoming
        total[slot] = age[slot] = drought[slot] = lost[slot] = 0
        policy.reset(slot, seeds[upcoming], upcoming)
        world.reset(slot, seeds[upcoming])
        upcoming += 1

    for slot in range(slots):
        begin(slot)
    while (playing >= 0).any():
        seen = world.features()
        actions = policy.act(seen)
        if watch is not None:
            seen = seen.copy()  # a world may use the array again
        rewards, dones = world.step(actions)
        if watch is not None:
            watch(seen, actions, rewards, dones)
        total += rewards
        age += 1
        gained = rewards > 0
        drought = np.where(gained, 0, drought + 1)
        lost = np.where(gained, 0.0, lost + rewards)
        given_up = (drought >= patience) & ~dones if patience else np.zeros(slots, bool)
        over = (dones | given_up | (age >= max_steps)) & (playing >= 0)
        for slot in map(int, np.flatnonzero(over)):
            episode = playing[slot]
            returns[episode], steps[episode] = total[slot], age[slot]
            if given_up[slot]:
                returns[episode] += lost[slot] / drought[slot] * (max_steps - age[slot])
            begin(slot)
    return Played(returns, steps)
