"""C: the controller, small enough to be evolved (section 2.4, appendix A.4).

All candidates of a batch act at once: weights are rows, features are rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ControllerShape:
    """C's sizes: ``features`` in, ``actions`` out, ``hidden`` tanh units between (0: linear)."""

    features: int
    actions: int
    hidden: int = 0
    bias: bool = True

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of each layer."""
        if self.hidden:
            return [(self.features, self.hidden), (self.hidden, self.actions)]
        return [(self.features, self.actions)]

    @property
    def weights(self) -> int:
        """How many numbers CMA-ES evolves: 867 for CarRacing, 1,088 for Doom."""
        return sum(outputs * (inputs + self.bias) for inputs, outputs in self.layers)

    def act(self, weights: np.ndarray, features: np.ndarray) -> np.ndarray:
        """tanh(W [z, h] + b) for each row (section 2.4; tanh from the released code).

        Args:
            weights: (B, weights), a candidate a row: each layer's W, row by row, then its b.
            features: (B, features), what each candidate sees.

        Returns:
            (B, actions) in [-1, 1], not yet squashed into the game's ranges.
        """
        return np.asarray(np.tanh(self.before_tanh(weights, features)))

    def before_tanh(self, weights: np.ndarray, features: np.ndarray) -> np.ndarray:
        """W [z, h] + b for each row, (B, actions), of what :meth:`act` takes."""
        values = features
        for number, (matrix, bias) in enumerate(self.parts(weights)):
            if number:
                values = np.tanh(values)
            values = np.matmul(matrix, values[:, :, None])[:, :, 0]  # (B, out)
            if bias is not None:
                values += bias
        return values

    def parts(self, weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Weights (B, weights) -> of each layer W (B, outputs, inputs), b (B, outputs) or None."""
        found: list[tuple[np.ndarray, np.ndarray | None]] = []
        start = 0
        for inputs, outputs in self.layers:
            end = start + outputs * inputs
            matrix = weights[:, start:end].reshape(-1, outputs, inputs)
            start = end + outputs * self.bias
            found.append((matrix, weights[:, end:start] if self.bias else None))
        return found
