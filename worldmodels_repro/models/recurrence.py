"""M's step for workers: the LSTM in NumPy, many episodes at once, no TensorFlow.

In the real game C needs only M's hidden state; the mixture is for training and dreams.
"""

from __future__ import annotations

import numpy as np

from worldmodels_repro.storage import Arrays


class Recurrence:
    """h_{t+1}, c_{t+1} = LSTM([z_t, a_t], h_t, c_t) for B episodes in lockstep.

    Weights are Keras's, with gates in its order: input, forget, candidate, output.

    Args:
        weights: ``lstm/kernel`` (inputs, 4 units), ``lstm/recurrent_kernel`` (units, 4 units),
            ``lstm/bias`` (4 units,).
        batch: B.
    """

    def __init__(self, weights: Arrays, batch: int):
        kernel, recurrent = weights["lstm/kernel"], weights["lstm/recurrent_kernel"]
        self.units = recurrent.shape[0]
        self._inputs = kernel.shape[0]
        self._weights = np.concatenate([kernel, recurrent]).astype(np.float32)  # (in + H, 4H)
        self._bias = weights["lstm/bias"].astype(np.float32)
        # Halving the sigmoid gates' inputs once makes sigmoid(x) = (1 + tanh(x / 2)) / 2 one
        # tanh over all four gates.
        halves = np.ones(4 * self.units, np.float32)
        halves[: 2 * self.units] = halves[3 * self.units:] = 0.5
        self._weights *= halves
        self._bias *= halves
        # [z, a, h] side by side: one matrix product a step; h is a view into it.
        # At least two rows: BLAS multiplies a single one by another routine, to other bits.
        rows = max(batch, 2)
        self._joined = np.zeros((rows, self._inputs + self.units), np.float32)
        self._gates = np.empty((rows, 4 * self.units), np.float32)
        self._scratch = np.empty((batch, self.units), np.float32)
        self.h = self._joined[:batch, self._inputs:]
        self.c = np.zeros((batch, self.units), np.float32)

    def reset(self, slot: int) -> None:
        """h_0 = c_0 = 0 for one slot."""
        self.h[slot] = 0.0
        self.c[slot] = 0.0

    def step(self, *inputs: np.ndarray) -> None:
        """Advance ``h`` and ``c`` (B, units) in place.

        Args:
            inputs: (B, n) blocks that together fill the LSTM's inputs, e.g. z (B, 32), a (B, 3).
        """
        column = 0
        for block in inputs:
            self._joined[:len(block), column:column + block.shape[1]] = block
            column += block.shape[1]
        if column != self._inputs:
            raise ValueError(f"M takes {self._inputs} inputs a step, not {column}")
        H, gates, scratch = self.units, self._gates, self._scratch
        np.matmul(self._joined, self._weights, out=gates)  # (B, 4H)
        gates = gates[:len(self.c)]
        gates += self._bias
        np.tanh(gates, out=gates)
        sigmoids = gates.reshape(-1, 4, H)[:, (0, 1, 3)]  # a copy: i, f, o
        sigmoids += 1.0
        sigmoids *= 0.5
        self.c *= sigmoids[:, 1]
        np.multiply(sigmoids[:, 0], gates[:, 2 * H:3 * H], out=scratch)
        self.c += scratch
        np.tanh(self.c, out=scratch)
        np.multiply(sigmoids[:, 2], scratch, out=self.h)
