"""Episodes that workers play while a network learns from those that they played before."""

from __future__ import annotations

from collections.abc import Iterable

from worldmodels_repro.pool import Pool
from worldmodels_repro.storage import Arrays


class Fresh:
    """The newest of a stream of episodes, round by round.

    In round r they are number ``r * renew`` and the ``size - 1`` after it: which ones depends on
    nothing but r, so who goes on with a round has the same ones.

    Args:
        pool: its workers play an episode by its number; None is one that is not to be used.
        size: episodes at a time.
        renew: how many of them the next round has new ones for; no more than ``size``.
        rounds: all that there will be: none is played for one after the last.
    """

    def __init__(self, pool: Pool[int, Arrays | None], size: int, renew: int, rounds: int):
        self._pool, self._size, self._renew, self._rounds = pool, size, renew, rounds
        self._round = -1
        self._there: list[Arrays | None] = []
        self._coming: Iterable[Arrays | None] = ()
        self._ordered = 0  # episodes of the stream, so far

    def of_round(self, number: int) -> list[Arrays]:
        """The episodes of a round: of any the first time, then of the same or the next."""
        if self._round < 0:
            self._ordered = number * self._renew
            self._order(self._size)
        elif number not in (self._round, self._round + 1):
            raise ValueError(f"round {number} does not follow on round {self._round}")
        if number != self._round:
            self._there = [*self._there, *self._coming][-self._size:]
            self._round = number
            self._coming = ()
            if number + 1 < self._rounds:
                self._order(self._renew)
        return [episode for episode in self._there if episode is not None]

    def _order(self, count: int) -> None:
        """Have the next ones played, from now on."""
        self._coming = self._pool.map(range(self._ordered, self._ordered + count))
        self._ordered += count
