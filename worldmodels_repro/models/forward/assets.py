"""Asset spatial RNN: three pictures are learnt, and a hidden state says where each of them is."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from worldmodels_repro.models.forward.recurrence import RecurrentNetwork
from worldmodels_repro.models.forward.sampling import translated
from worldmodels_repro.sections import Forward

ASSETS = 3


class Assets(RecurrentNetwork):
    """H -> a shift of each asset; the sum of all that is moved is the frame's logits.

    At first an asset is the sign of a thing in its third of the field: left, middle, right; all
    that it is, it learns.
    """

    def __init__(self, settings: Forward, actions: int):
        super().__init__(settings, actions)
        # Not zeros: at whole pixels a shift's gradient is 0.
        self.theta = layers.Dense(2 * ASSETS, name="theta",
                                  kernel_initializer=keras.initializers.RandomNormal(stddev=0.02))
        self.pictures = Pictures(self.side)
        self.first_built()

    def draw(self, features: Any) -> Any:
        """(N, H) -> logits (N, S, S, 3)."""
        return self.pictures(self.shifts(features))

    def shifts(self, features: Any) -> Any:
        """(N, H) -> (N, 3, 2), as :func:`translated` takes them."""
        return ops.reshape(self.theta(features), (-1, ASSETS, 2))

    def parts(self, state: Any) -> Any:
        """Each asset's shift, and the asset where it then is, on the ground."""
        shifts = self.shifts(self.recurrence.features(state))
        moved = ops.sigmoid(self.pictures.moved(shifts) + self.pictures.ground)
        pixels = 0.5 * (self.side - 1) * shifts
        return ops.concatenate([ops.reshape(pixels, (-1, 2 * ASSETS)),
                                ops.reshape(moved, (-1, ASSETS * self.pixels))], axis=1)


class Pictures(layers.Layer):
    """The assets (3, S, S, 3), and the ground (3,) that they are added to."""

    def __init__(self, side: int):
        super().__init__(name="assets")
        self.side = side

    def build(self, input_shape: Any) -> None:
        """Create both."""
        S, third = self.side, np.arange(self.side) * ASSETS // self.side
        first = np.zeros((ASSETS, S, S, 3), np.float32)
        for asset in range(ASSETS):
            first[asset, S // 4:-S // 4, third == asset] = 1.0
        self.pictures = self.add_weight(
            name="pictures", shape=first.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(first, dtype))
        self.ground = self.add_weight(name="ground", shape=(3,), initializer="zeros")

    def moved(self, shifts: Any) -> Any:
        """Shifts (N, 3, 2) -> the assets where they are then (N, 3, S, S, 3)."""
        return translated(self.pictures, shifts)

    def call(self, shifts: Any) -> Any:
        """Shifts (N, 3, 2) -> logits (N, S, S, 3)."""
        return ops.sum(self.moved(shifts), axis=1) + self.ground
