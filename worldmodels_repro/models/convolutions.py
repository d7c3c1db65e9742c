"""Networks that see frames: a table of convolutions, acting in NumPy alone.

One is the first part of a learner's network, or what an autoencoder has learnt of frames; Keras
trains what the table says (``models/pretraining.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SLOPE = 0.3  # of leaky_relu, below 0

Bend = Literal["relu", "leaky_relu", "linear"]


@dataclass(frozen=True)
class Convolution:
    """A convolution, what bends its outputs, and a max-pooling behind.

    Attributes:
        filters, kernel, stride: of it.
        same: whether the picture is padded, so that only strides make it smaller.
        pool: side of the squares of which the largest number is kept (1: all are).
        bend: of the outputs.
        norm: whether pre-training normalises them over the batch, before they are bent; what is
            handed on has that in its kernels.
    """

    filters: int
    kernel: int
    stride: int = 1
    same: bool = False
    pool: int = 1
    bend: Bend = "relu"
    norm: bool = False

    def side(self, before: int) -> int:
        """The picture's side after it."""
        lines = before if self.same else before - self.kernel + 1
        return -(-lines // self.stride) // self.pool

    def padding(self, before: int) -> tuple[int, int]:
        """Lines of zeros before and behind a picture of this side, as TensorFlow lays them."""
        if not self.same:
            return 0, 0
        lines = max(0, (-(-before // self.stride) - 1) * self.stride + self.kernel - before)
        return lines // 2, lines - lines // 2


TABLES: dict[str, tuple[Convolution, ...]] = {
    # openai/baselines' cnn_to_mlp for images (Mnih et al. 2015)
    "atari": (Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1)),
    # TensorFlow's tutorial: 5x5 and pooling, twice
    "pooled": (Convolution(32, 5, same=True, pool=2), Convolution(64, 5, same=True, pool=2)),
    # Warnell et al. 2018: 160x160 to 10x10, 64x64 to 4x4
    "deep_tamer": (*(Convolution(64, 3, same=True, pool=2, norm=True) for _ in range(3)),
                   Convolution(1, 3, same=True, pool=2, bend="linear", norm=True)),
    # strides in place of pooling: 128x128 to 8x8, 64x64 to 4x4
    "strided": (*(Convolution(64, 4, 2, same=True, bend="leaky_relu", norm=number > 0)
                  for number in range(3)),
                Convolution(1, 4, 2, same=True, bend="linear")),
    # the same with two layers, and with one
    "strided_2": (Convolution(64, 4, 2, same=True, bend="leaky_relu"),
                  Convolution(1, 4, 2, same=True, bend="linear")),
    "strided_1": (Convolution(1, 4, 2, same=True, bend="linear"),),
}


@dataclass(frozen=True)
class FrameEncoder:
    """Convolutions, and a dense layer to ``latent`` numbers where that is asked for.

    Attributes:
        shape: (S, S, C) of what it sees.
        layers: first to last.
        latent: numbers that come out; None: what the last convolution leaves.
    """

    shape: tuple[int, int, int]
    layers: tuple[Convolution, ...]
    latent: int | None = None

    @property
    def sides(self) -> list[int]:
        """The picture's side, and that after each layer."""
        sides = [self.shape[0]]
        for layer in self.layers:
            sides.append(layer.side(sides[-1]))
        return sides

    @property
    def flat(self) -> int:
        """Numbers that the convolutions leave."""
        return self.sides[-1] ** 2 * self.layers[-1].filters

    @property
    def outputs(self) -> int:
        """Numbers that come out."""
        return self.flat if self.latent is None else self.latent

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of each kernel: (k, k, in, out), and the dense layer's (in, out); a bias follows each."""
        channels = [self.shape[2], *(layer.filters for layer in self.layers)]
        found: list[tuple[int, ...]] = [
            (layer.kernel, layer.kernel, *pair)
            for layer, pair in zip(self.layers, pairwise(channels), strict=True)]
        return found if self.latent is None else [*found, (self.flat, self.latent)]

    @property
    def weights(self) -> int:
        """How many numbers there are."""
        return sum(prod(shape) + shape[-1] for shape in self.shapes)

    def act(self, weights: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """What is seen -> what comes out; each row is computed as if it were alone.

        Args:
            weights: (B, weights), or (1, weights) for all rows.
            frames: (B, S, S, C) uint8, taken as numbers from -1 to 1.

        Returns:
            (B, outputs) float32.
        """
        values = scaled(frames)  # (B, S, S, C)
        start = 0
        for number, shape in enumerate(self.shapes):
            size, out = prod(shape), shape[-1]
            kernel = weights[:, start:start + size].reshape(len(weights), -1, out)  # (B, in, out)
            bias = weights[:, None, start + size:start + size + out]
            start += size + out
            if number < len(self.layers):
                layer = self.layers[number]
                columns, side = _columns(values, layer)  # (B, side^2, k k in)
                values = np.matmul(columns, kernel)
                values += bias
                _bend(values, layer.bend)
                values = _pooled(values.reshape(len(values), side, side, out), layer.pool)
            else:
                values = np.matmul(values.reshape(len(values), 1, -1), kernel) + bias
        return values.reshape(len(values), -1)


def scaled(frames: np.ndarray) -> np.ndarray:
    """Frames uint8 -> float32 from -1 to 1."""
    return frames * np.float32(2 / 255) - np.float32(1)


def _columns(values: np.ndarray, layer: Convolution) -> tuple[np.ndarray, int]:
    """Pictures (B, S, S, C) -> what each place of the kernel sees, (B, T^2, k k C), and T."""
    lines = layer.padding(values.shape[1])
    if any(lines):
        values = np.pad(values, ((0, 0), lines, lines, (0, 0)))
    windows = sliding_window_view(values, (layer.kernel, layer.kernel), axis=(1, 2))
    windows = windows[:, ::layer.stride, ::layer.stride]  # (B, T, T, C, k, k)
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(len(values), windows.shape[1] ** 2, -1)
    return columns, windows.shape[1]


def _bend(values: np.ndarray, how: Bend) -> None:
    if how == "relu":
        np.maximum(values, 0.0, out=values)
    elif how == "leaky_relu":
        np.maximum(values, SLOPE * values, out=values)


def _pooled(values: np.ndarray, pool: int) -> np.ndarray:
    """(B, S, S, C) -> the largest number of each square, (B, S // pool, S // pool, C)."""
    if pool == 1:
        return values
    B, S, _, C = values.shape
    side = S // pool
    values = values[:, :side * pool, :side * pool]
    return values.reshape(B, side, pool, side, pool, C).max(axis=(2, 4))
