"""The optimisers that V and M are trained by, by name."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from worldmodels_repro.sections import Memory, Vae

LARGEST = {Vae: 256, Memory: 512}
"""The most that a matrix's shorter side may have for its orthogonal part to be worth the time,
which grows with the square of that side. V's matrix of the decoder's one pixel (3,200 by 1,024, or
1,600 by 512) is applied once a frame: its orthogonal part would cost more than all the rest of a
step. M's largest (512 by 2,048) are applied at each step of each window."""


class Muon(keras.optimizers.Muon):
    """Steps along the orthogonal part of each matrix's momentum (Jordan et al. 2024).

    Keras's does so for the kernels of Dense and LSTM layers; here those of convolutions are
    matrices as well: (height, width, a, b) -> (height width a, b). Whatever is no matrix goes by
    AdamW at the same rate, and so does a matrix whose shorter side is over ``largest``.

    Args:
        learning_rate: of both.
        largest: see ``LARGEST``.
        products: the type in which orthogonal parts are computed; their authors' is bfloat16.
        **others: Keras's.
    """

    def __init__(self, learning_rate: float, largest: int, products: str = "float32",
                 **others: Any):
        super().__init__(learning_rate, **others)
        self._largest, self._products = largest, products

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) not in (2, 4) or min(_matrix(variable.shape)) > self._largest

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """The orthogonal part of a kernel, in the kernel's shape."""
        flat = ops.cast(ops.reshape(x, _matrix(x.shape)), self._products)
        found = super().zeropower_via_newtonschulz5(flat, steps)
        return ops.reshape(ops.cast(found, x.dtype), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Steps about as large as Adam's (Liu et al. 2025, equation 4)."""
        return x * (self.rms_rate * math.sqrt(max(_matrix(x.shape))))


def _matrix(shape: Iterable[int]) -> tuple[int, int]:
    *rest, last = shape
    return math.prod(rest), last


def optimizer(settings: Vae | Memory, **others: Any) -> keras.optimizers.Optimizer:
    """The one that V's or M's settings name."""
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(settings.learning_rate, **others)
    products = "float32" if settings.precision == "float32" else "bfloat16"
    return Muon(settings.learning_rate, LARGEST[type(settings)], products, **others)
