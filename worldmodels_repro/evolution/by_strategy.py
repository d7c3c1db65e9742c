"""The paper's search: a strategy asks for candidates and is told how they fared (appendix A.4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from worldmodels_repro.evolution.players import Players
from worldmodels_repro.evolution.search import row
from worldmodels_repro.evolution.strategies import STRATEGIES
from worldmodels_repro.sections import Evolve, Evolved
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.storage import Arrays
from worldmodels_repro.worlds.agent import Spread


class StrategySearch:
    """A :class:`Search`, in the coordinates in which its first covariance is the identity.

    CMA-ES does not mind which coordinates it works in (Hansen 2016, "The CMA Evolution Strategy: A
    Tutorial", section 3), so a search that starts with a covariance is one in others.

    Args:
        by: the strategy.
        start: (n,) the first mean, where ``wide`` is None.
        settings: of the stage.
        seed: of every draw.
        wide: mean and covariance to start with.
    """

    def __init__(self, by: Evolved, start: np.ndarray, settings: Evolve, seed: int,
                 wide: Spread | None):
        self._settings, self._wide = settings, wide
        first, sigma = (start, settings.sigma) if wide is None else (np.zeros(len(start)), 1.0)
        self.strategy = STRATEGIES[by](first, sigma, settings, seed)

    @property
    def mean(self) -> np.ndarray:
        """(n,) the distribution's mean."""
        return self.weights(self.strategy.mean)

    def weights(self, places: np.ndarray) -> np.ndarray:
        """What the strategy names (..., n) -> C's weights (..., n)."""
        return places if self._wide is None else self._wide.candidates(places)

    def fitness(self, returns: np.ndarray) -> np.ndarray:
        """Returns (candidates, episodes) -> (candidates,): means over the worst share of them."""
        count = math.ceil(self._settings.worst * returns.shape[1])
        return np.asarray(np.sort(returns, axis=1)[:, :count].mean(axis=1)
                          if count < returns.shape[1] else returns.mean(axis=1))

    def generation(self, players: Players, dreamers: Players | None, seed: int,
                   number: int) -> dict[str, Any]:
        """Ask, sift, play, tell."""
        settings, strategy = self._settings, self.strategy
        places = strategy.ask(settings.sift)  # (sift x population, n)
        if dreamers is not None:
            places = places[self._best_dreamers(dreamers, places, seed, number)]
        returns, steps = self._played(players, places, seed, number, settings.rollouts)
        fitness = self.fitness(returns)
        sigma = strategy.sigma
        strategy.tell(places, fitness)
        strategy.shrink(settings.sigma_decay)
        return row(number, fitness, sigma, steps)

    def _played(self, players: Players, places: np.ndarray, seed: int, number: int,
                rollouts: int) -> tuple[np.ndarray, int]:
        """Returns (candidates, rollouts) of a generation, and the steps that they took."""
        settings, tracks = self._settings, []
        for candidate in range(len(places)):
            key = (number, 0 if settings.common_tracks else candidate)
            tracks += [episode_seed(seed, "training", *key, k) for k in range(rollouts)]
        driver = np.repeat(np.arange(len(places)), rollouts)
        played = players.play(self.weights(places), driver, tracks, settings.max_steps,
                              settings.patience)
        return played.returns.reshape(len(places), rollouts), int(played.steps.sum())

    def _best_dreamers(self, dreamers: Players, places: np.ndarray, seed: int,
                       number: int) -> np.ndarray:
        """Which candidates fare best in M's dream, in the order in which they were asked for."""
        returns, _ = self._played(dreamers, places, seed, number, self._settings.sift_rollouts)
        fitness = np.nan_to_num(self.fitness(returns), nan=-np.inf)
        return np.sort(np.argsort(-fitness, kind="stable")[:self._settings.population])

    def state(self) -> Arrays:
        """The strategy's."""
        return self.strategy.state()

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state`."""
        self.strategy.restore(state, source)
