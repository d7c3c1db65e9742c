"""Where in M's outputs each thing stands: the one layout for training, dreams and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Head:
    """M's dense layer: all log-weights, then all means, then all log sigmas, then the heads.

    Each latent has a mixture of its own, as in the released code.

    Attributes:
        z: latent dimensions.
        mixtures: K, Gaussians for each.
        done, reward: whether one more output is 'the episode ends', and the step's reward.
    """

    z: int
    mixtures: int
    done: bool = False
    reward: bool = False

    @classmethod
    def of(cls, outputs: int, z: int, done: bool, reward: bool) -> Head:
        """The layout of so many outputs.

        Raises:
            ValueError: they are no mixtures of ``z`` latents with those heads.
        """
        mixtures, left = divmod(outputs - done - reward, 3 * z)
        if left or mixtures < 1:
            raise ValueError(f"{outputs} outputs are no mixtures of {z} latents with "
                             f"{done + reward} heads")
        return cls(z=z, mixtures=mixtures, done=done, reward=reward)

    @property
    def size(self) -> int:
        """Numbers of each of the three kinds, z K."""
        return self.z * self.mixtures

    @property
    def outputs(self) -> int:
        """All outputs."""
        return 3 * self.size + self.done + self.reward

    @property
    def done_at(self) -> int | None:
        """The column of the ending's logit."""
        return 3 * self.size if self.done else None

    @property
    def reward_at(self) -> int | None:
        """The column of the reward."""
        return 3 * self.size + self.done if self.reward else None

    def parameters(self, inputs: int, units: int) -> int:
        """How many numbers M has: the LSTM's and the dense layer's."""
        return 4 * units * (inputs + units + 1) + (units + 1) * self.outputs

    def split(self, outputs: Any, ops: Any = np) -> tuple[Any, Any, Any, Any, Any]:
        """(..., outputs) -> logits, mu, log sigma, each (..., z, K); done and reward (...) or None.

        Args:
            outputs: of the dense layer.
            ops: NumPy, or ``keras.ops``.
        """
        shape = (*ops.shape(outputs)[:-1], self.z, self.mixtures)
        logits, mu, log_sigma = (
            ops.reshape(outputs[..., i * self.size:(i + 1) * self.size], shape) for i in range(3))
        done, reward = (None if column is None else outputs[..., column]
                        for column in (self.done_at, self.reward_at))
        return logits, mu, log_sigma, done, reward
