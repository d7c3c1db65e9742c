"""The strategies that C is evolved by, by name, and where one had come to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.evolution.climbing import OpenEs, Pgpe
from worldmodels_repro.evolution.cma_es import CmaEs
from worldmodels_repro.evolution.cma_es import spread as cma_spread
from worldmodels_repro.sections import Evolve, Evolved
from worldmodels_repro.storage import Arrays, load_npz
from worldmodels_repro.worlds.agent import Spread


class Strategy(Protocol):
    """Ask for a generation of candidates, tell their fitness (higher is better)."""

    @property
    def mean(self) -> np.ndarray:
        """(n,) of the distribution."""

    @property
    def sigma(self) -> float:
        """Its overall width."""

    def ask(self, times: int = 1) -> np.ndarray:
        """(times x population, n) candidates."""

    def tell(self, candidates: np.ndarray, fitness: np.ndarray) -> None:
        """Fitness (population,) of candidates (population, n); one that failed is not finite.

        Raises:
            ValueError: all of them failed.
        """

    def shrink(self, share: float) -> None:
        """The width is multiplied by this."""

    def state(self) -> Arrays:
        """All that it goes on from, between two generations."""

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state` on a strategy made with the same arguments.

        Raises:
            UserError: the state does not fit.
        """


STRATEGIES: dict[Evolved, Callable[[np.ndarray, float, Evolve, int], Strategy]] = {
    "cma_es": lambda start, sigma, settings, seed: CmaEs(
        start, sigma, settings.population, seed, settings.diagonal),
    "open_es": lambda start, sigma, settings, seed: OpenEs(
        start, sigma, settings.population, seed, settings.learning_rate),
    "pgpe": lambda start, sigma, settings, seed: Pgpe(
        start, sigma, settings.population, seed, settings.learning_rate),
}


def load_spread(run: Path) -> Spread:
    """Where the search of a run had come to.

    Raises:
        UserError: the run was kept without it.
    """
    path = run / "evolve" / "strategy.npz"
    if not path.exists():
        raise UserError(f"{run} was kept without evolve/strategy.npz, so where its search had come "
                        "to is not known: name a run that you evolved, or do without "
                        "evolve.start_spread and the candidates of rollouts.policies")
    state = load_npz(path)
    if "actor/000" in state:
        raise UserError(f"PPO found the C of {run}, and has no candidates: ask for the controller "
                        "in rollouts.policies, with rollouts.agent_noise")
    if "widths" in state and "mean" in state and state["mean"].shape == state["widths"].shape:
        return Spread(state["mean"], np.diag(state["widths"]))
    return cma_spread(state, str(path))
