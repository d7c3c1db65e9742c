"""V's layers as a table: Keras trains what it says, and workers compute what it says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod

from worldmodels_repro.errors import UserError
from worldmodels_repro.frame import SIDE
from worldmodels_repro.plugins import named


@dataclass(frozen=True)
class Conv:
    """A convolution, or a transposed one, without padding."""

    filters: int
    kernel: int
    stride: int = 2


@dataclass(frozen=True, kw_only=True)
class Layers:
    """A convolutional VAE (figure 22); the defaults are the paper's.

    Frames (64, 64, 3) go through the encoder's convolutions, each with a ReLU, and two dense
    layers to mu and log sigma^2. z goes through a dense layer to a map of one pixel, then through
    the decoder's transposed convolutions, each with a ReLU but the last, which has a sigmoid.

    Attributes:
        encoder: convolutions, first to last.
        dense: channels of the decoder's one pixel.
        decoder: transposed convolutions, first to last; they end at (64, 64, 3).

    Raises:
        UserError: the sizes do not fit.
    """

    encoder: tuple[Conv, ...] = (Conv(32, 4), Conv(64, 4), Conv(128, 4), Conv(256, 4))
    dense: int = 1024
    decoder: tuple[Conv, ...] = (Conv(128, 5), Conv(64, 5), Conv(32, 6), Conv(3, 6))

    def __post_init__(self) -> None:
        if not self.encoder or not self.decoder:
            raise UserError("V needs an encoder and a decoder of one layer or more each")
        if min(self.sides) < 1:
            raise UserError(f"V's encoder leaves nothing of a frame: its sides are {self.sides}; "
                            "take a layer out, or smaller kernels or strides")
        shape = (self.decoder_sides[-1], self.decoder[-1].filters)
        if shape != (SIDE, 3):
            raise UserError(f"V's decoder ends at ({shape[0]}, {shape[0]}, {shape[1]}) and a frame "
                            f"is ({SIDE}, {SIDE}, 3): its sides are {self.decoder_sides}")
        if self.decoder[0].stride > self.decoder[0].kernel:
            raise UserError("V's first transposed convolution has a stride above its kernel")

    @property
    def sides(self) -> list[int]:
        """The frame's side, and that after each of the encoder's layers: 64, 31, 14, 6, 2."""
        sides = [SIDE]
        for layer in self.encoder:
            sides.append((sides[-1] - layer.kernel) // layer.stride + 1)
        return sides

    @property
    def decoder_sides(self) -> list[int]:
        """The side of one pixel, and that after each of the decoder's layers: 1, 5, 13, 30, 64."""
        sides = [1]
        for layer in self.decoder:
            sides.append((sides[-1] - 1) * layer.stride + layer.kernel)
        return sides

    @property
    def flat(self) -> int:
        """Numbers that the encoder's convolutions leave: 1,024."""
        return self.sides[-1] ** 2 * self.encoder[-1].filters

    def shapes(self, z: int) -> dict[str, tuple[int, ...]]:
        """Every weight by its name, as Keras lays it out."""
        kernels: dict[str, tuple[int, ...]] = {}
        channels = [3, *(layer.filters for layer in self.encoder)]
        for number, (layer, (inside, out)) in enumerate(
                zip(self.encoder, pairwise(channels), strict=True), start=1):
            kernels[f"encoder/conv{number}"] = (layer.kernel, layer.kernel, inside, out)
        kernels["encoder/mu"] = kernels["encoder/logvar"] = (self.flat, z)
        kernels["decoder/dense"] = (z, self.dense)
        channels = [self.dense, *(layer.filters for layer in self.decoder)]
        for number, (layer, (inside, out)) in enumerate(
                zip(self.decoder, pairwise(channels), strict=True), start=1):
            kernels[f"decoder/deconv{number}"] = (layer.kernel, layer.kernel, out, inside)
        shapes: dict[str, tuple[int, ...]] = {}
        for name, kernel in kernels.items():
            out = kernel[-2] if name.startswith("decoder/deconv") else kernel[-1]
            shapes |= {f"{name}/kernel": kernel, f"{name}/bias": (out,)}
        return shapes

    def parameters(self, z: int) -> int:
        """How many numbers V has: 4,348,547 for the paper's at z = 32."""
        return sum(prod(shape) for shape in self.shapes(z).values())


PAPER = Layers()
HALF = Layers(encoder=(Conv(16, 4), Conv(32, 4), Conv(64, 4), Conv(128, 4)), dense=512,
              decoder=(Conv(64, 5), Conv(32, 5), Conv(16, 6), Conv(3, 6)))
LAYERS = {"paper": PAPER, "half": HALF}


def layers_named(name: str) -> Layers:
    """A row of the table, or the :class:`Layers` at ``path/to/file.py:NAME``.

    Raises:
        UserError: there are none.
    """
    return named(name, LAYERS, "table of layers", Layers)
