"""Other Ms dream, each dream by one of them, and C's own M listens as it does beside the game.

A C that dreams with its own M sees all that the dream goes by: M's state is the dream's. It finds
what pays in that one M alone (section 4.1 names it). Here it has no more of a dream than of the
game, and what pays has to pay in several Ms. They all know the same V.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from worldmodels_repro.models.contracts import Dreams, Follows, ForwardModel, Precision


@dataclass(frozen=True, kw_only=True)
class Overheard:
    """A :class:`ForwardModel`.

    Attributes:
        own: C's.
        dreamers: those that dream; they see the same z, and all tell endings, or rewards, or none
            does.
    """

    own: ForwardModel
    dreamers: tuple[ForwardModel, ...]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Numbers in each thing that C may see."""
        return self.own.sizes

    @property
    def scores(self) -> bool:
        """Whether the dreamers have learnt endings or rewards."""
        return self.dreamers[0].scores

    def follow(self, batch: int, precision: Precision = "f32") -> Follows:
        """C's own M beside a game."""
        return self.own.follow(batch, precision)

    def dream(self, batch: int, temperature: float, precision: Precision = "f32",
              dropout: float = 0.0, spread: float = 0.0) -> Listening:
        """The dreamers, ``batch`` dreams of them in lockstep, and C's own M beside."""
        return Listening(self.own.follow(batch, precision),
                         [memory.dream(batch, temperature, precision, dropout, spread)
                          for memory in self.dreamers], batch)


class Listening:
    """:class:`Dreams` of several Ms, a row each, that C's own M follows.

    Args:
        own: C's M.
        minds: the dreamers; each has its own rows for those dreams that are its.
        batch: B.

    Attributes:
        z: (B, z) what comes next.
        state: what C may see beside it, of its own M.
        done, reward: (B,) of the dreamers, or None.
    """

    def __init__(self, own: Follows, minds: Sequence[Dreams], batch: int):
        self._own, self._minds = own, minds
        self.z = np.zeros((batch, minds[0].z.shape[1]), np.float32)
        self.state = own.state
        self.done, self.reward = (None if told is None else np.zeros(batch, np.float32)
                                  for told in (minds[0].done, minds[0].reward))
        self._mind_of, self._place_of = np.full(batch, -1), np.zeros(batch, int)
        self._rows: list[list[int]] = [[] for _ in minds]  # of this batch, in each mind's order

    def wake(self, row: int, z: np.ndarray, rng: np.random.Generator) -> None:
        """An episode begins in this row: ``rng`` draws who dreams it."""
        self._leave(row)
        mind = int(rng.integers(len(self._minds)))
        self._mind_of[row], self._place_of[row] = mind, len(self._rows[mind])
        self._rows[mind].append(row)
        self._minds[mind].wake(int(self._place_of[row]), z, rng)
        self._own.reset(row)
        self.z[row] = z

    def resume(self, row: int, z: np.ndarray, state: Mapping[str, np.ndarray]) -> None:
        """Not to be had.

        Raises:
            ValueError: always: the state of C's own M is none of a dreamer's.
        """
        raise ValueError("a dream of another M does not go on from the state of C's own")

    def move(self, source: int, target: int) -> None:
        """The dream of one row goes on in another."""
        self._leave(target)
        mind, place = int(self._mind_of[source]), int(self._place_of[source])
        self._mind_of[target], self._place_of[target] = mind, place
        self._rows[mind][place], self._mind_of[source] = target, -1
        self._own.move(source, target)
        self.z[target] = self.z[source]

    def step(self, actions: np.ndarray, uniforms: np.ndarray, normals: np.ndarray) -> None:
        """Advance the first n rows by actions (n, A) and draws (n, z)."""
        n = len(actions)
        for row in range(n, len(self._mind_of)):  # those that have come to rest
            self._leave(row)
        self._own.step(self.z[:n], actions)
        for mind, rows in zip(self._minds, self._rows, strict=True):
            if not rows:
                continue
            mind.step(actions[rows], uniforms[rows], normals[rows])
            for mine, theirs in ((self.z, mind.z), (self.done, mind.done),
                                 (self.reward, mind.reward)):
                if mine is not None and theirs is not None:
                    mine[rows] = theirs[:len(rows)]

    def _leave(self, row: int) -> None:
        """Nobody dreams this row any more; the last of that mind's takes the place."""
        mind, place = int(self._mind_of[row]), int(self._place_of[row])
        if mind < 0:
            return
        rows = self._rows[mind]
        last = rows.pop()
        if last != row:
            self._minds[mind].move(len(rows), place)
            rows[place], self._place_of[last] = last, place
        self._mind_of[row] = -1
