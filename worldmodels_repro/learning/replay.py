"""What a learner remembers: the latest transitions, drawn uniformly or by their errors; or two
halves, one of which keeps what the policy would not do any more.

A transition is a row of numbers: what was seen, what was done, the reward, what was seen next, and
whether that ended the episode. Each has a number, its place among all that there ever were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from worldmodels_repro.storage import Arrays

LEAST = 1e-6  # added to an error: what was learnt perfectly is drawn again one day


@dataclass(frozen=True)
class Columns:
    """Where a transition's parts stand in its row: F features, K numbers of what was done."""

    features: int
    done: int

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return 2 * self.features + self.done + 2

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """Of seen, done, reward, seen next, ended, in this order."""
        return self.features, self.done, 1, self.features, 1

    def seen(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, width) -> what was seen, (N, F)."""
        return rows[:, :self.features]

    def following(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, width) -> what was seen next, (N, F)."""
        return rows[:, -1 - self.features:-1]

    def actions(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, width) -> what was done, (N, K)."""
        return rows[:, self.features:self.features + self.done]


Scores = Callable[[np.ndarray], np.ndarray]
"""Rows (N, width) -> how far from the policy of now what was done is, (N,)."""


@dataclass(frozen=True)
class Draw:
    """A batch: slots (B,) of the memory, their rows (B, width), their weights (B,) float32."""

    slots: np.ndarray
    rows: np.ndarray
    weights: np.ndarray


class Memory(Protocol):
    """What a learner needs of one."""

    def add(self, row: np.ndarray, number: int) -> None:
        """Remember a transition (width,)."""

    def end_episode(self, scores: Scores) -> None:
        """An episode is over."""

    def draw(self, batch: int, rng: np.random.Generator) -> Draw:
        """A batch, with replacement."""

    def learnt(self, draw: Draw, errors: np.ndarray) -> None:
        """|error| (B,) of a batch that was just learnt."""

    def numbers(self) -> np.ndarray:
        """Of the transitions that are remembered."""

    def state(self) -> Arrays:
        """All but the rows."""

    def restore(self, state: Arrays, rows_of: Callable[[np.ndarray], np.ndarray]) -> None:
        """Undo :meth:`state`; ``rows_of`` gives the rows (N, width) of numbers (N,)."""


class SumTree:
    """Priorities of C slots, of which one is found by a draw in steps of log2 C.

    ``nodes[1]`` is the sum of all; node i is that of its children 2 i and 2 i + 1; the last C are
    the slots' own. A node is always the sum of its children as they are, so a tree made anew from
    its slots is the same to the bit.
    """

    def __init__(self, capacity: int):
        self._first = 1 << max(0, capacity - 1).bit_length()
        self._nodes = np.zeros(2 * self._first)

    @property
    def total(self) -> float:
        """The sum of all priorities."""
        return float(self._nodes[1])

    def __getitem__(self, slots: np.ndarray) -> np.ndarray:
        return self._nodes[self._first + slots]

    def __setitem__(self, slots: np.ndarray, priorities: np.ndarray) -> None:
        nodes = self._first + np.asarray(slots)
        self._nodes[nodes] = priorities
        while nodes[0] > 1:
            nodes = nodes >> 1
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def find(self, sums: np.ndarray) -> np.ndarray:
        """The slots (B,) at which the running sum of priorities passes ``sums`` (B,)."""
        left, nodes = sums.copy(), np.ones(len(sums), int)
        while nodes[0] < self._first:
            nodes = 2 * nodes
            below = self._nodes[nodes]
            right = left >= below
            left -= np.where(right, below, 0.0)
            nodes += right
        return nodes - self._first


class Fifo:
    """The latest transitions.

    Drawn in proportion to |error|^alpha, each weighs (N P)^-beta over the batch's largest weight
    (Schaul et al. 2016, section 3.4); a transition that was never drawn counts as the largest error
    so far. With alpha 0 that is uniform, and draws are the same with a tree or without.

    Args:
        capacity: how many.
        width: numbers in a row.
        alpha, beta: as above.
    """

    def __init__(self, capacity: int, width: int, alpha: float = 0.0, beta: float = 0.0):
        self.rows = np.zeros((capacity, width), np.float32)
        self.held = np.full(capacity, -1)  # the numbers of what is in each slot
        self.count = 0  # slots in use
        self._next, self._most = 0, 1.0
        self._alpha, self._beta = alpha, beta
        self._tree = SumTree(capacity) if alpha else None

    def add(self, row: np.ndarray, number: int) -> None:
        """Remember a transition in place of the oldest."""
        self.put(np.array([self._next]), row, np.array([number]))
        self._next = (self._next + 1) % len(self.rows)

    def put(self, slots: np.ndarray, rows: np.ndarray, numbers: np.ndarray) -> None:
        """Write transitions into slots; those below ``count`` stay the ones in use."""
        self.rows[slots], self.held[slots] = rows, numbers
        self.count = max(self.count, int(slots.max()) + 1)
        if self._tree is not None:
            self._tree[slots] = np.full(len(slots), self._most**self._alpha)

    def end_episode(self, scores: Scores) -> None:
        """Nothing to do."""

    def draw(self, batch: int, rng: np.random.Generator) -> Draw:
        """A batch, with replacement."""
        return _batch([self.at(rng.random(batch))])

    def at(self, draws: np.ndarray) -> Draw:
        """Where uniform draws (B,) in [0, 1) lead; weights are (N P)^-beta as they are."""
        if self._tree is None:
            slots = (draws * self.count).astype(int)
            return Draw(slots, self.rows[slots], np.ones(len(slots), np.float32))
        total = self._tree.total
        # A sum that was rounded up would lead beyond the last slot.
        slots = np.minimum(self._tree.find(draws * total), self.count - 1)
        weights = (self.count * self._tree[slots] / total) ** -self._beta
        return Draw(slots, self.rows[slots], weights.astype(np.float32))

    @property
    def oldest(self) -> np.ndarray:
        """The row (width,) of the transition that is forgotten next."""
        return self.rows[self._next if self.count == len(self.rows) else 0]

    def learnt(self, draw: Draw, errors: np.ndarray) -> None:
        """Their priorities from now on."""
        if self._tree is not None:
            self._tree[draw.slots] = (errors + LEAST) ** self._alpha
            self._most = max(self._most, float(errors.max()) + LEAST)

    def numbers(self) -> np.ndarray:
        """Of the transitions that are remembered."""
        return self.held[:self.count]

    def state(self) -> Arrays:
        """All but the rows."""
        slots = np.arange(self.count)
        return {"held": self.numbers().copy(), "next": np.array(self._next),
                "most": np.array(self._most),
                "priorities": np.ones(0) if self._tree is None else self._tree[slots]}

    def restore(self, state: Arrays, rows_of: Callable[[np.ndarray], np.ndarray]) -> None:
        """Undo :meth:`state`."""
        held = state["held"]
        if len(held):
            self.put(np.arange(len(held)), rows_of(held), held)
            if self._tree is not None:
                self._tree[np.arange(len(held))] = state["priorities"]
        self._next, self._most = int(state["next"]), float(state["most"])


class Retention:
    """Two halves: A forgets the oldest, B what the policy would do again (de Bruin et al. 2016).

    B's OFFPOL score of a transition is ||a - pi(s)||^2, pi being the policy of now. Once B is full,
    an episode's t transitions take the places of the t lowest scores, of equal ones the oldest.

    Args:
        capacity, width, alpha, beta: as for :class:`Fifo`, of both halves together.
        omega: how often a transition is drawn from A.
    """

    def __init__(self, capacity: int, width: int, alpha: float, beta: float, omega: float):
        self.a, self.b = (Fifo(half, width, alpha, beta)
                          for half in (capacity - capacity // 2, capacity // 2))
        self._omega = omega
        self._fresh: list[tuple[np.ndarray, int]] = []

    def add(self, row: np.ndarray, number: int) -> None:
        """A has it at once, B at the episode's end."""
        self.a.add(row, number)
        self._fresh.append((row, number))

    def end_episode(self, scores: Scores) -> None:
        """B takes the episode's transitions in, the latest ones if it can't hold them all."""
        room = len(self.b.rows)
        fresh, self._fresh = self._fresh[-room:], []
        if not fresh:
            return
        there = self.b.count
        free = np.arange(there, min(room, there + len(fresh)))
        lowest = np.empty(0, int)
        if len(free) < len(fresh):
            order = np.lexsort((self.b.held[:there], scores(self.b.rows[:there])))
            lowest = order[:len(fresh) - len(free)]
        self.b.put(np.concatenate([free, lowest]), np.stack([row for row, _ in fresh]),
                   np.array([number for _, number in fresh]))

    def draw(self, batch: int, rng: np.random.Generator) -> Draw:
        """From A with probability omega, else from B; slots of B stand behind A's."""
        from_a = rng.random(batch) < self._omega
        if not self.b.count:
            from_a[:] = True
        draws = rng.random(batch)
        behind = {0: self.a, len(self.a.rows): self.b}
        parts = []
        for (first, half), chosen in zip(behind.items(), (from_a, ~from_a), strict=True):
            part = half.at(draws[chosen])
            parts.append(Draw(first + part.slots, part.rows, part.weights))
        return _batch(parts)

    def learnt(self, draw: Draw, errors: np.ndarray) -> None:
        """Their priorities from now on."""
        first = len(self.a.rows)
        for half, mine, start in ((self.a, draw.slots < first, 0),
                                  (self.b, draw.slots >= first, first)):
            if mine.any():
                half.learnt(Draw(draw.slots[mine] - start, draw.rows[mine], draw.weights[mine]),
                            errors[mine])

    def numbers(self) -> np.ndarray:
        """Of the transitions that are remembered."""
        return np.unique(np.concatenate([self.a.numbers(), self.b.numbers()]))

    def state(self) -> Arrays:
        """All but the rows."""
        return {f"{name}/{key}": array for name, half in (("a", self.a), ("b", self.b))
                for key, array in half.state().items()}

    def restore(self, state: Arrays, rows_of: Callable[[np.ndarray], np.ndarray]) -> None:
        """Undo :meth:`state`."""
        for name, half in (("a", self.a), ("b", self.b)):
            half.restore({key.removeprefix(f"{name}/"): array for key, array in state.items()
                          if key.startswith(f"{name}/")}, rows_of)


def _batch(parts: list[Draw]) -> Draw:
    """One batch of several; its largest weight is 1."""
    weights = np.concatenate([part.weights for part in parts])
    return Draw(np.concatenate([part.slots for part in parts]),
                np.concatenate([part.rows for part in parts]), weights / weights.max())


def memory_of(capacity: int, width: int, alpha: float, beta: float,
              omega: float | None) -> Memory:
    """What settings ask for."""
    if omega is None:
        return Fifo(capacity, width, alpha, beta)
    return Retention(capacity, width, alpha, beta, omega)
