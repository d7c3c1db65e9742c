"""C as a network of several layers, as data: what DQN and TD3 learn, acting in NumPy alone.

It stands where :class:`models.controller.ControllerShape` does: all weights of a batch are rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from worldmodels_repro.models.convolutions import FrameEncoder

Activation = Literal["relu", "tanh"]
Kind = Literal["values", "actions"]


@dataclass(frozen=True, kw_only=True)
class Network:
    """Its sizes, and what comes out.

    Attributes:
        features: numbers that it sees.
        outputs: n: a value of each choice, or the numbers of an action.
        hidden: units of each layer between.
        activation: of those layers.
        kind: ``values``, as they are; or ``actions``, by tanh in [-1, 1].
        dueling: values are V(s) + A(s, a) - mean A(s, .) (Wang et al. 2016, equation 9); the last
            layer gives V, then A.
        encoder: where it sees frames, its first layers, which give the features.
    """

    features: int
    outputs: int
    hidden: tuple[int, ...]
    activation: Activation = "relu"
    kind: Kind = "values"
    dueling: bool = False
    encoder: FrameEncoder | None = None

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of each layer behind the features."""
        return list(pairwise((self.features, *self.hidden, self.outputs + self.dueling)))

    @property
    def weights(self) -> int:
        """How many numbers there are: the encoder's, then each layer's kernel (inputs, outputs)
        and its bias."""
        return (self.encoder.weights if self.encoder else 0) + sum(
            outputs * (inputs + 1) for inputs, outputs in self.layers)

    def act(self, weights: np.ndarray, features: np.ndarray) -> np.ndarray:
        """What comes out for each row.

        Args:
            weights: (B, weights).
            features: (B, features), or frames (B, S, S, C) uint8 where it sees those; for one
                network on B of them, ``weights`` (1, weights).

        Returns:
            (B, outputs) float32.
        """
        values, start = features, 0
        if self.encoder is not None:
            start = self.encoder.weights
            values = self.encoder.act(weights[:, :start], features)
        for number, (inputs, outputs) in enumerate(self.layers, start=1):
            end = start + inputs * outputs
            kernel = weights[:, start:end].reshape(-1, inputs, outputs)  # (B, in, out)
            bias = weights[:, end:end + outputs]
            start = end + outputs
            if len(weights) == 1:
                values = values @ kernel[0] + bias
            else:
                values = np.matmul(values[:, None], kernel)[:, 0] + bias  # (B, out)
            if number < len(self.layers):
                values = np.tanh(values) if self.activation == "tanh" else np.maximum(values, 0.0)
        if self.dueling:
            advantage = values[:, 1:]
            values = values[:, :1] + advantage - advantage.mean(axis=1, keepdims=True)
        return np.tanh(values) if self.kind == "actions" else values


@dataclass(frozen=True, kw_only=True)
class Joint(Network):
    """A network of values, and beside it one that says of which class a thing is.

    Of its features the first are for the former; then come those of the thing, and last the
    classes' truth, which neither sees. Its weights are the former's, then the latter's; what comes
    out are values, then the classes' probabilities.

    Attributes:
        classes: what tells them apart; its outputs are logits.
    """

    classes: Network

    @property
    def moves(self) -> Network:
        """What values choices, alone."""
        return Network(features=self.features - self.classes.features - self.classes.outputs,
                       outputs=self.outputs, hidden=self.hidden, activation=self.activation,
                       dueling=self.dueling)

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Those of what values choices."""
        return self.moves.layers

    @property
    def weights(self) -> int:
        """How many numbers there are."""
        return self.moves.weights + self.classes.weights

    def act(self, weights: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Values and probabilities, (B, outputs + classes) float32."""
        moves, classes = self.moves, self.classes
        values = moves.act(weights[:, :moves.weights], features[:, :moves.features])
        logits = classes.act(weights[:, moves.weights:], self.things(features))
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.concatenate([values, shares / shares.sum(axis=1, keepdims=True)], axis=1)

    def things(self, features: np.ndarray) -> np.ndarray:
        """Features (B, features) -> those of the thing."""
        return features[:, -self.classes.features - self.classes.outputs:-self.classes.outputs]

    def truths(self, features: np.ndarray) -> np.ndarray:
        """Features (B, features) -> one of its classes each."""
        return features[:, -self.classes.outputs:]
