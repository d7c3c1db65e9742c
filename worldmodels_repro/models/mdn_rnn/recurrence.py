"""M's step for workers: the LSTM of many episodes at once, no TensorFlow.

In the real game C needs only M's hidden and cell states; the mixture is for training and dreams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worldmodels_repro.models.runtime import Affine, Precision
from worldmodels_repro.storage import Arrays

if TYPE_CHECKING:
    from worldmodels_repro.config import Memory


class Recurrence:
    """h_{t+1}, c_{t+1} = LSTM([z_t, a_t], h_t, c_t) for B episodes in lockstep.

    Weights are Keras's, with gates in its order: input, forget, candidate, output. A row's bits
    depend on neither its neighbours nor the batch.

    Args:
        weights: ``lstm/kernel`` (inputs, 4 units), ``lstm/recurrent_kernel`` (units, 4 units),
            ``lstm/bias`` (4 units,).
        batch: B.
        precision: arithmetic of the matrix product; all else is float32.
    """

    def __init__(self, weights: Arrays, batch: int, precision: Precision = "f32"):
        kernel, recurrent = weights["lstm/kernel"], weights["lstm/recurrent_kernel"]
        self.units = recurrent.shape[0]
        self._inputs = kernel.shape[0]
        # Halving the sigmoid gates' inputs once makes sigmoid(x) = (1 + tanh(x / 2)) / 2 one
        # tanh over all four gates.
        halves = np.ones(4 * self.units, np.float32)
        halves[: 2 * self.units] = halves[3 * self.units:] = 0.5
        # [z, a, h, 0] side by side: one matrix product a step; h is a view into it. bfloat16
        # tiles are 32 deep: padded to whole ones, the product takes up to a third less time.
        width = -(-(self._inputs + self.units) // 32) * 32
        joined = np.pad(np.concatenate([kernel, recurrent]),
                        ((0, width - self._inputs - self.units), (0, 0)))
        rows = max(batch, Affine.FEWEST)
        self._joined = np.zeros((rows, width), np.float32)
        self._gates = np.zeros((rows, 4 * self.units), np.float32)
        self._product = Affine((joined * halves).astype(np.float32),
                               (weights["lstm/bias"] * halves).astype(np.float32),
                               self._joined, self._gates, precision)
        self._scratch = np.empty((batch, self.units), np.float32)
        self.h = self._joined[:batch, self._inputs:self._inputs + self.units]
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
        H, scratch = self.units, self._scratch
        self._product.run()  # (B, 4H)
        gates = self._gates[:len(self.c)]
        np.tanh(gates, out=gates)
        sigmoids = gates.reshape(-1, 4, H)[:, (0, 1, 3)]  # a copy: i, f, o
        sigmoids += 1.0
        sigmoids *= 0.5
        self.c *= sigmoids[:, 1]
        np.multiply(sigmoids[:, 0], gates[:, 2 * H:3 * H], out=scratch)
        self.c += scratch
        np.tanh(self.c, out=scratch)
        np.multiply(sigmoids[:, 2], scratch, out=self.h)


def mdn_rnn_parameters(settings: Memory, z: int, actions: int) -> int:
    """How many numbers M has, for latents (z,) and actions (actions,)."""
    inputs, units = z + actions + settings.restart_input, settings.units
    outputs = 3 * settings.mixtures * z + settings.done + settings.reward
    return 4 * units * (inputs + units + 1) + (units + 1) * outputs
