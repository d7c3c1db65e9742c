"""A context becomes a hidden state, which actions move on: what four of the networks share."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from worldmodels_repro.models.forward.network import ForwardNetwork, each_step, in_turn, picked
from worldmodels_repro.sections import Forward

SKIP = 8  # steps that the second layer's state goes back


class Recurrence(keras.layers.Layer):
    """Two layers of gated recurrent units; the second is dilated, its state eight steps old.

    Args:
        units: H, of each.
        embedding: numbers that an action becomes.
    """

    def __init__(self, units: int, embedding: int):
        super().__init__(name="recurrence")
        self.units = units
        self.embed = layers.Dense(embedding, activation="relu", name="embed")
        self.near = layers.RNN(layers.GRUCell(units, name="near"), return_sequences=True)
        self.far = layers.RNN(layers.GRUCell(units, name="far"), return_sequences=True)

    @property
    def size(self) -> int:
        """n, numbers in a state."""
        return self.units * (1 + SKIP)

    def begin(self, hidden: Any) -> Any:
        """A context's (B, H) -> a state (B, n)."""
        return ops.concatenate([hidden, ops.zeros((ops.shape(hidden)[0], SKIP * self.units))], 1)

    def step(self, state: Any, actions: Any) -> tuple[Any, Any]:
        """State (B, n), actions (B, A) -> features (B, H), state (B, n)."""
        H = self.units
        near, _ = self.near.cell(self.embed(actions), [state[:, :H]])
        far, _ = self.far.cell(near, [state[:, H:2 * H]])
        return near + far, ops.concatenate([near, state[:, 2 * H:], far], axis=1)

    def features(self, state: Any) -> Any:
        """What the step gave that led to a state (B, n): (B, H)."""
        return state[:, :self.units] + state[:, -self.units:]

    def call(self, hidden: Any, actions: Any) -> Any:
        """A context's (B, H), actions (B, T, A) -> features (B, T, H)."""
        near = self.near(self.embed(actions), initial_state=[hidden])
        T, H = near.shape[1], self.units
        rounds = -(-T // SKIP)
        # Every eighth step is a sequence of its own.
        padded = ops.pad(near, ((0, 0), (0, rounds * SKIP - T), (0, 0)))
        turns = ops.transpose(ops.reshape(padded, (-1, rounds, SKIP, H)), (0, 2, 1, 3))
        far = self.far(ops.reshape(turns, (-1, rounds, H)))
        far = ops.transpose(ops.reshape(far, (-1, SKIP, rounds, H)), (0, 2, 1, 3))
        return near + ops.reshape(far, (-1, rounds * SKIP, H))[:, :T]


class Glance(keras.layers.Layer):
    """A context's frames (B, K, S, S, 3), or a serve (B, 2), as a hidden state (B, H): dense."""

    def __init__(self, units: int):
        super().__init__(name="glance")
        self.layers = [layers.Flatten(), layers.Dense(128, name="glance1"),
                       layers.LayerNormalization(name="glance1norm"), layers.Activation("relu"),
                       layers.Dense(units, activation="tanh", name="glance2")]

    def call(self, context: Any) -> Any:
        """(B, ...) -> (B, H)."""
        return in_turn(self.layers, context)


class RecurrentNetwork(ForwardNetwork):
    """No true frame is shown to it after the context; one of them gives :meth:`draw`."""

    def __init__(self, settings: Forward, actions: int):
        super().__init__(settings, actions)
        self.glance: Any = Glance(settings.units)
        self.recurrence = Recurrence(settings.units, settings.embedding)

    def draw(self, features: Any) -> Any:
        """(N, H) -> logits (N, S, S, 3)."""
        raise NotImplementedError

    def start(self, context: Any) -> Any:
        """Context -> state (B, n)."""
        return self.recurrence.begin(self.glance(context))

    def step(self, state: Any, actions: Any) -> tuple[Any, Any, Any]:
        """One step: logits, features, state."""
        features, state = self.recurrence.step(state, actions)
        return self.draw(features), features, state

    def unroll(self, context: Any, actions: Any, frames: Any, picks: Any,
               training: bool) -> tuple[Any, Any]:
        """Whole windows: the state moves through all steps, the picked ones are drawn."""
        features = picked(self.recurrence(self.glance(context), actions), picks)  # (B, P, H)
        return each_step(self.draw, features), features
