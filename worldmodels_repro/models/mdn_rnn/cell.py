"""M's LSTM, a step at a time: the one for workers, for dreams and for figures. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from worldmodels_repro.models.runtime import Affine, Precision
from worldmodels_repro.storage import Arrays


class Cell:
    """h_{t+1}, c_{t+1} = LSTM([z_t, a_t], h_t, c_t) for B rows in lockstep.

    Weights are Keras's, with gates in its order: input, forget, candidate, output. A row's bits
    depend on neither its neighbours nor the batch.

    Args:
        weights: ``lstm/kernel`` (inputs, 4 units), ``lstm/recurrent_kernel`` (units, 4 units),
            ``lstm/bias`` (4 units,).
        batch: B.
        precision: arithmetic of the matrix product; all else is float32.
        sizes: for how many of the first rows to have a program of its own; B always has one.

    Attributes:
        inputs: (rows, inputs) what M is fed next: a view, to be written to.
        h, c: (rows, units) M's hidden and cell state. Rows beyond B only fill the smallest batch.
    """

    def __init__(self, weights: Arrays, batch: int, precision: Precision = "f32",
                 sizes: Iterable[int] = ()):
        self.units, inputs = len(weights["lstm/recurrent_kernel"]), len(weights["lstm/kernel"])
        # bfloat16 tiles are 32 deep: padded to whole ones, products take up to a third less time.
        width = -(-(inputs + self.units) // 32) * 32
        # Rows that a program computes: few are dearer each, but far dearer are rows for nothing.
        rows = max(batch, Affine.FEWEST)
        self._joined = np.zeros((rows, width), np.float32)  # [z, a(, restart), h, 0]
        self._gates = np.zeros((rows, 4 * self.units), np.float32)
        self.inputs = self._joined[:, :inputs]
        self._fed_back = self._joined[:, inputs:inputs + self.units]
        self.h = np.zeros((rows, self.units), np.float32)
        self.c = np.zeros((rows, self.units), np.float32)
        self._scratch = np.empty((rows, self.units), np.float32)
        gates = _gates(weights, width)
        counts = {rows, *(max(size, Affine.FEWEST) for size in sizes)}
        self._programs = {n: Affine(*gates, self._joined[:n], self._gates[:n], precision)
                          for n in sorted(counts)}

    def reset(self, row: int) -> None:
        """An episode begins in this row: h_0 = c_0 = 0."""
        self._joined[row] = self.h[row] = self.c[row] = 0.0

    def put(self, row: int, h: np.ndarray, c: np.ndarray) -> None:
        """This row's state is h, c (units,)."""
        self.h[row], self.c[row], self._fed_back[row] = h, c, h

    def move(self, source: int, target: int) -> None:
        """The episode of one row goes on in another."""
        for array in (self._joined, self.h, self.c):
            array[target] = array[source]

    def step(self, rows: int) -> None:
        """Advance the first ``rows`` rows' h and c by what ``inputs`` holds."""
        next(program for size, program in self._programs.items() if size >= rows).run()
        H, gates, c, h, scratch = (self.units, self._gates[:rows], self.c[:rows], self.h[:rows],
                                   self._scratch[:rows])
        # In `gates` the order is input, forget, output, candidate.
        np.tanh(gates, out=gates)
        gates[:, :3 * H] += 1.0  # twice the sigmoids
        c *= gates[:, H:2 * H]
        np.multiply(gates[:, :H], gates[:, 3 * H:], out=scratch)
        c += scratch
        c *= 0.5
        np.tanh(c, out=scratch)
        scratch *= 0.5
        np.multiply(gates[:, 2 * H:3 * H], scratch, out=h)
        self._fed_back[:rows] = h


class Recurrence:
    """M for those who see: it is fed each step's inputs whole, and C sees its state.

    Args: as :class:`Cell`'s.

    Attributes:
        h, c: (B, units).
    """

    def __init__(self, weights: Arrays, batch: int, precision: Precision = "f32"):
        self._cell, self._batch = Cell(weights, batch, precision), batch
        self.h, self.c = self._cell.h[:batch], self._cell.c[:batch]

    def reset(self, slot: int) -> None:
        """h_0 = c_0 = 0 for one slot."""
        self._cell.reset(slot)

    def put(self, slot: int, h: np.ndarray, c: np.ndarray) -> None:
        """One slot's state is h, c (units,)."""
        self._cell.put(slot, h, c)

    def step(self, *inputs: np.ndarray) -> None:
        """Advance ``h`` and ``c`` in place.

        Args:
            inputs: (B, n) blocks that together fill M's inputs, e.g. z (B, 32), a (B, 3).

        Raises:
            ValueError: they are not as many as M takes.
        """
        column = 0
        for block in inputs:
            self._cell.inputs[:self._batch, column:column + block.shape[1]] = block
            column += block.shape[1]
        if column != self._cell.inputs.shape[1]:
            raise ValueError(f"M takes {self._cell.inputs.shape[1]} inputs a step, not {column}")
        self._cell.step(self._batch)


def _gates(weights: Arrays, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The LSTM's matrix (width, 4 units) and bias, the three sigmoids side by side and halved.

    sigmoid(x) = (1 + tanh(x / 2)) / 2: one tanh serves all four gates.
    """
    kernel = np.concatenate([weights["lstm/kernel"], weights["lstm/recurrent_kernel"]])
    kernel = np.pad(kernel, ((0, width - len(kernel)), (0, 0)))
    order = np.arange(kernel.shape[1]).reshape(4, -1)[[0, 1, 3, 2]].ravel()
    halves = np.full(kernel.shape[1], 0.5, np.float32)
    halves[3 * len(halves) // 4:] = 1.0
    return ((kernel[:, order] * halves).astype(np.float32),
            (weights["lstm/bias"][order] * halves).astype(np.float32))
