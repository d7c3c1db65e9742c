"""What the stage evolve asks of a search for C's weights."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from worldmodels_repro.evolution.players import Players
from worldmodels_repro.storage import Arrays


class Search(Protocol):
    """Generation after generation it has episodes played, and learns from them."""

    @property
    def mean(self) -> np.ndarray:
        """(n,) the weights that stand for it, and are evaluated: CMA-ES's mean, C without noise."""

    def generation(self, players: Players, dreamers: Players | None, seed: int,
                   number: int) -> dict[str, Any]:
        """One generation.

        Args:
            players: in the world where C is to do well.
            dreamers: in M's dream, where candidates are sifted.
            seed: the run's, of all episodes.
            number: of the generation, from 1.

        Returns:
            Its :func:`row`, and what else there is to tell.
        """

    def state(self) -> Arrays:
        """All that it goes on from, between two generations."""

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state`.

        Raises:
            UserError: it is another search's.
        """


def row(number: int, scores: np.ndarray, sigma: float, steps: int) -> dict[str, Any]:
    """What is told of any generation.

    Args:
        number: from 1.
        scores: (n,) what it learns from; those that failed are not finite.
        sigma: how widely it searched.
        steps: that it played.
    """
    finite = scores[np.isfinite(scores)]
    return {"generation": number, "best": round(float(finite.max()), 3),
            "mean": round(float(finite.mean()), 3), "std": round(float(finite.std()), 3),
            "worst": round(float(finite.min()), 3), "failed": len(scores) - len(finite),
            "sigma": round(sigma, 6), "steps": steps}
