"""RNN-dense: a hidden state that actions move, drawn by dense layers."""

from __future__ import annotations

from typing import Any

from keras import layers

from worldmodels_repro.models.forward.network import in_turn
from worldmodels_repro.models.forward.recurrence import RecurrentNetwork
from worldmodels_repro.sections import Forward


class RnnDense(RecurrentNetwork):
    """H -> 128 -> a frame."""

    def __init__(self, settings: Forward, actions: int):
        super().__init__(settings, actions)
        self.draws = [layers.Dense(128, activation="relu", name="draw1"),
                      layers.Dense(self.pixels, name="draw2"),
                      layers.Reshape((self.side, self.side, 3))]
        self.first_built()

    def draw(self, features: Any) -> Any:
        """(N, H) -> logits (N, S, S, 3)."""
        return in_turn(self.draws, features)
