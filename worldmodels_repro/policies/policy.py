"""Policies made of players that act for one episode each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from worldmodels_repro.seeds import generator


class Player(Protocol):
    """Acts for one episode of one slot."""

    def act(self, observation: np.ndarray) -> np.ndarray:
        """What is seen -> action (A,) float32 in the game's ranges."""


MakePlayer = Callable[[np.random.Generator], Player]


class EachEpisode:
    """A :class:`worlds.episodes.Policy` that makes a new player for every episode.

    Args:
        make: a generator, which is the player's own for all of its draws -> a player.
        key: of that generator beside the episode's seed.
    """

    def __init__(self, make: MakePlayer, *key: int):
        self._make, self._key = make, key
        self._players: dict[int, Player] = {}

    def reset(self, slot: int, seed: int, episode: int) -> None:
        """An episode begins in a slot."""
        self._players[slot] = self._make(generator(seed, *self._key))

    def act(self, observations: np.ndarray) -> np.ndarray:
        """(B, ...) -> (B, A); slots that never had an episode do nothing."""
        actions = {slot: player.act(observations[slot])
                   for slot, player in self._players.items()}
        first = next(iter(actions.values()))
        return np.stack([actions.get(slot, np.zeros_like(first))
                         for slot in range(len(observations))])
