"""A search that is judged by the mean of what it came to in all its generations, later ones more.

A generation's own tracks pull the mean of the search their way, and the next one's another way; a
mean over generations is between them. Polynomial-decay averaging (Shamir & Zhang 2013, "Stochastic
gradient descent for non-smooth optimization", section 4) needs no window: it leans on as large a
share of the generations whatever their number, and is one vector to keep.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.evolution.players import Players
from worldmodels_repro.evolution.search import Search
from worldmodels_repro.storage import Arrays


class Averaged:
    """A :class:`~worldmodels_repro.evolution.search.Search` that stands for another's path.

    Args:
        search: goes its way as it would by itself.
        power: about as t**power does the mean of generation t weigh.
    """

    def __init__(self, search: Search, power: float):
        self._search, self._power = search, power
        self._mean = search.mean

    @property
    def mean(self) -> np.ndarray:
        """(n,) the mean over the generations so far."""
        return self._mean

    def generation(self, players: Players, dreamers: Players | None, seed: int,
                   number: int) -> dict[str, Any]:
        """The search's, which then counts."""
        row = self._search.generation(players, dreamers, seed, number)
        share = (self._power + 1) / (self._power + number)  # all of it at the first
        self._mean = self._mean + share * (self._search.mean - self._mean)
        return row

    def state(self) -> Arrays:
        """The search's, and the mean."""
        return self._search.state() | {"averaged": self._mean}

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state`.

        Raises:
            UserError: it is another search's.
        """
        state = dict(state)
        mean = state.pop("averaged", None)
        if mean is None or mean.shape != self._mean.shape:
            raise UserError(f"{source} holds no average of this search's means: remove the evolve "
                            "folder to start again")
        self._search.restore(state, source)
        self._mean = mean
