"""RNN-deconv: a hidden state that actions move, drawn by transposed convolutions."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from worldmodels_repro.models.forward.network import in_channels, in_turn
from worldmodels_repro.models.forward.recurrence import RecurrentNetwork
from worldmodels_repro.sections import Forward


class RnnDeconv(RecurrentNetwork):
    """H -> 512 -> a map of 128 channels -> four transposed convolutions -> a frame.

    Frames of context are seen by convolutions, a serve by dense layers.
    """

    def __init__(self, settings: Forward, actions: int):
        super().__init__(settings, actions)
        if settings.context != "serve":
            self.glance = Look(settings.units)
        small = self.side // 16
        self.draws = [layers.Dense(512, activation="relu", name="draw1"),
                      layers.Dense(small * small * 128, activation="relu", name="draw2"),
                      layers.Reshape((small, small, 128)),
                      *(layers.Conv2DTranspose(filters, 4, strides=2, padding="same",
                                               activation="relu", name=f"draw{number}")
                        for number, filters in enumerate((128, 64, 32), start=3)),
                      layers.Conv2DTranspose(3, 4, strides=2, padding="same", name="draw6")]
        self.first_built()

    def draw(self, features: Any) -> Any:
        """(N, H) -> logits (N, S, S, 3)."""
        return in_turn(self.draws, features)


class Look(keras.layers.Layer):
    """Frames (B, K, S, S, 3) as a hidden state (B, H): two convolutions and a dense layer."""

    def __init__(self, units: int):
        super().__init__(name="look")
        self.layers = [*(layers.Conv2D(64, 5, strides=2, padding="same", activation="relu",
                                       name=f"look{number}") for number in (1, 2)),
                       layers.Flatten(), layers.Dense(units, activation="tanh", name="look3")]

    def call(self, frames: Any) -> Any:
        """(B, K, S, S, 3) -> (B, H)."""
        return in_turn(self.layers, in_channels(frames))
