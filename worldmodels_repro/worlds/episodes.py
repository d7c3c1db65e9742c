"""The one loop that plays controllers in a world, real or dreamt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from worldmodels_repro.models.controller import ControllerShape


class World(Protocol):
    """Where B controllers live in lockstep."""

    slots: int

    def reset(self, slot: int, seed: int) -> None:
        """Begin the episode of this seed in a slot."""

    def rest(self, slot: int) -> None:
        """Leave a slot idle."""

    def features(self) -> np.ndarray:
        """What C sees in each slot, (B, F)."""

    def step(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """C's outputs (B, actions) -> rewards (B,), dones (B,)."""


@dataclass(frozen=True)
class Played:
    """What came of E episodes: their returns (E,) and lengths in steps (E,)."""

    returns: np.ndarray
    steps: np.ndarray


def play(world: World, shape: ControllerShape, weights: np.ndarray, seeds: list[int],
         max_steps: int, patience: int = 0) -> Played:
    """Play E episodes; a slot that ends one takes the next, so the batch stays full.

    Args:
        world: where.
        shape: C's sizes.
        weights: (E, n), the controller of each episode.
        seeds: E seeds.
        max_steps: an episode is cut after so many steps.
        patience: an episode is given up after so many steps in a row without a gain, and its
            return is what it had plus the rest of the time at that drought's mean reward; 0
            never gives up.
    """
    episodes, slots = len(seeds), world.slots
    returns, steps = np.zeros(episodes), np.zeros(episodes, int)
    playing = np.full(slots, -1)  # the episode in each slot
    at_the_wheel = np.zeros((slots, shape.weights), np.float32)
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
        at_the_wheel[slot] = weights[upcoming]
        total[slot] = age[slot] = drought[slot] = lost[slot] = 0
        world.reset(slot, seeds[upcoming])
        upcoming += 1

    for slot in range(slots):
        begin(slot)
    while (playing >= 0).any():
        rewards, dones = world.step(shape.act(at_the_wheel, world.features()))
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
