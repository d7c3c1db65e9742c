"""The same C, found by the gradient of its returns (PPO) in place of evolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from worldmodels_repro.evolution.players import Players
from worldmodels_repro.evolution.search import row
from worldmodels_repro.learning.ppo import PPO
from worldmodels_repro.sections import Evolve, Ppo
from worldmodels_repro.seeds import episode_seed, generator
from worldmodels_repro.storage import Arrays


class GradientSearch:
    """A :class:`Search`: whole episodes of one noisy C, then an update.

    Args:
        learner: C's weights and its critic.
        settings: the config's ``ppo``.
        evolve: its ``evolve``.
    """

    def __init__(self, learner: PPO, settings: Ppo, evolve: Evolve):
        self._learner, self._settings, self._evolve = learner, settings, evolve

    @property
    def mean(self) -> np.ndarray:
        """(n,) C without its noise."""
        return self._learner.weights

    def generation(self, players: Players, dreamers: Players | None, seed: int,
                   number: int) -> dict[str, Any]:
        """Practise, then learn; returns are of single episodes, noise included."""
        seeds = [episode_seed(seed, "training", number, 0, k)
                 for k in range(self._settings.episodes)]
        sigma = self._learner.sigma
        tried = players.practise(self._learner.weights, sigma, seeds, self._evolve.max_steps,
                                 self._evolve.patience)
        facts = self._learner.update(tried.seen, tried.outputs, tried.rewards, tried.steps,
                                     tried.ended, generator(seed, 5, number))
        return {**row(number, tried.returns, float(sigma.mean()), int(tried.steps.sum())),
                **{name: round(value, 6) for name, value in facts.items()}}

    def state(self) -> Arrays:
        """The learner's."""
        return self._learner.state()

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state`."""
        self._learner.restore(state, source)
