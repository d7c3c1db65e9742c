"""Spatial transformer: the frame's features are moved by what a hidden state says."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from worldmodels_repro.models.forward.network import ForwardNetwork, in_turn, picked, scaled
from worldmodels_repro.models.forward.recurrence import Glance, Recurrence
from worldmodels_repro.models.forward.sampling import transformed
from worldmodels_repro.sections import Forward

MAPS = 3  # channels that are moved, each by an affine map of its own


class SpatialTransformer(ForwardNetwork):
    """The frame now -> four convolutions -> three maps, moved -> four convolutions -> the next.

    In training the frame now is the true one; when it plays, its own.
    """

    def __init__(self, settings: Forward, actions: int):
        super().__init__(settings, actions)
        self.glance = Glance(settings.units)
        self.recurrence = Recurrence(settings.units, settings.embedding)
        self.views = [*(layers.Conv2D(settings.filters, kernel, padding="same",
                                      activation="relu", name=f"view{number}")
                        for number, kernel in enumerate((3, 5, 5), start=1)),
                      layers.Conv2D(MAPS, 7, padding="same", name="view4")]
        identity = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), MAPS)
        self.theta = layers.Dense(
            6 * MAPS, name="theta", kernel_initializer="zeros",
            bias_initializer=lambda shape, dtype=None: ops.convert_to_tensor(identity, dtype))
        self.draws = [layers.Conv2DTranspose(filters, kernel, padding="same",
                                             activation="relu" if number < 4 else None,
                                             name=f"draw{number}")
                      for number, (filters, kernel) in enumerate(
                          ((16, 3), (16, 5), (16, 5), (3, 3)), start=1)]
        self.first_built()

    def next(self, frames: Any, features: Any, training: bool = False) -> Any:
        """Frames (N, S, S, 3), features (N, H) -> logits (N, S, S, 3)."""
        S = self.side
        maps = self.leave_out(in_turn(self.views, frames), training=training)  # (N, S, S, 3)
        maps = ops.reshape(ops.transpose(maps, (0, 3, 1, 2)), (-1, S, S))
        moved = transformed(maps, ops.reshape(self.theta(features), (-1, 6)))
        moved = ops.transpose(ops.reshape(moved, (-1, MAPS, S, S)), (0, 2, 3, 1))
        return in_turn(self.draws, moved)

    def start(self, context: Any) -> Any:
        """Context (B, K, S, S, 3) -> state (B, n): the recurrence's, and the frame now."""
        now = ops.reshape(context[:, -1], (-1, self.pixels))
        return ops.concatenate([self.recurrence.begin(self.glance(context)), now], axis=1)

    def step(self, state: Any, actions: Any) -> tuple[Any, Any, Any]:
        """One step: logits, features, state."""
        n = self.recurrence.size
        features, after = self.recurrence.step(state[:, :n], actions)
        frames = ops.reshape(state[:, n:], (-1, self.side, self.side, 3))
        logits = self.next(frames, features)
        drawn = ops.reshape(ops.sigmoid(logits), (-1, self.pixels))
        return logits, features, ops.concatenate([after, drawn], axis=1)

    def unroll(self, context: Any, actions: Any, frames: Any, picks: Any,
               training: bool) -> tuple[Any, Any]:
        """The true frame before every picked step."""
        features = picked(self.recurrence(self.glance(context), actions), picks)  # (B, P, H)
        now = scaled(picked(frames, picks + self.settings.seen - 1))  # (B, P, S, S, 3)
        logits = self.next(ops.reshape(now, (-1, self.side, self.side, 3)),
                           ops.reshape(features, (-1, self.settings.units)), training)
        return ops.reshape(logits, ops.shape(now)), features
