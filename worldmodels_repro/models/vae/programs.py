"""V for workers: its table of layers and its weights, compiled by OpenVINO (appendix A.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from worldmodels_repro.frame import FRAME
from worldmodels_repro.models.contracts import Precision
from worldmodels_repro.models.runtime import Program, check_options, constant, import_openvino
from worldmodels_repro.models.vae.layers import PAPER, Layers

if TYPE_CHECKING:
    import openvino as ov

__all__ = ["Decoder", "Encoder", "largest_inputs"]

EIGHT_BITS = 256  # levels

Weights = Mapping[str, np.ndarray]
_Floats = npt.NDArray[np.float32]
_Frames = npt.NDArray[np.uint8]


class Encoder:
    """V's encoder for a fixed batch size: frames to the posterior's mean and log variance.

    Args:
        weights: float arrays named and laid out as `Layers.shapes` says, the rows of
            ``encoder/mu/kernel`` in (height, width, channel) order; for int8 also
            ``encoder/ranges``, as `largest_inputs` measures them. Other names are ignored.
        batch: images per call.
        precision: ``"f32"``, or ``"bf16"`` for bfloat16 products summed in float32 (several
            times faster on CPUs with AMX; its rounding error in mu is about 0.02 of the
            posterior's standard deviation, root mean square), or ``"int8"`` for whole numbers:
            twice as fast where there is neither, at an error of 0.06.
        threads: CPU threads a call may use.
        layers: V's.

    Raises:
        ValueError: a weight is missing or misshapen, or an option is out of range.
        ImportError: OpenVINO is not installed.

    Attributes:
        frames: the input buffer, (batch, 64, 64, 3) uint8.  A caller that writes its frames
            here and passes this very array to `encode` saves the copy.
    """

    def __init__(
        self,
        weights: Weights,
        batch: int,
        precision: Precision = "f32",
        threads: int = 1,
        layers: Layers = PAPER,
    ) -> None:
        check_options(batch, precision, threads)
        self.batch = batch
        self.z = _columns(weights, "encoder/mu/kernel", layers.flat)
        self.frames: _Frames = np.zeros((batch, *FRAME), np.uint8)
        self._heads: _Floats = np.zeros((batch, 2 * self.z), np.float32)
        self._mu = self._heads[:, : self.z]
        self._logvar = self._heads[:, self.z :]
        openvino, _ = import_openvino()
        ranges = None
        if precision == "int8":
            ranges = _array(weights, "encoder/ranges", (len(layers.encoder) + 1,))
        model, _ = _encoder_graph(weights, batch, self.z, layers, ranges)
        self._program = Program(openvino, model, self.frames, self._heads, precision, threads)

    def encode(self, frames_uint8: _Frames) -> tuple[_Floats, _Floats]:
        """Return the posterior's mean and log variance of each frame.

        Args:
            frames_uint8: (batch, 64, 64, 3) uint8, RGB, 0 to 255.

        Returns:
            ``(mu, logvar)``, both (batch, z) float32; ``logvar`` is log sigma^2.  They are views
            of the encoder's own buffer: the next call overwrites them, so copy what must last.

        Raises:
            ValueError: the frames' shape or type is another.
        """
        if frames_uint8 is not self.frames:
            if frames_uint8.shape != self.frames.shape or frames_uint8.dtype != np.uint8:
                raise ValueError(
                    f"frames are {frames_uint8.dtype} {frames_uint8.shape}, "
                    f"expected uint8 {self.frames.shape}"
                )
            np.copyto(self.frames, frames_uint8)
        self._program.run()
        return self._mu, self._logvar


class Decoder:
    """V's decoder for a fixed batch size: latent vectors to frames for viewing.

    Args:
        weights: float arrays named and laid out as `Layers.shapes` says. Other names are ignored.
        batch: vectors per call.
        precision: as for `Encoder`.
        threads: CPU threads a call may use.
        layers: V's.

    Raises:
        ValueError: a weight is missing or misshapen, or an option is out of range.
        ImportError: OpenVINO is not installed.
    """

    def __init__(
        self,
        weights: Weights,
        batch: int,
        precision: Precision = "f32",
        threads: int = 1,
        layers: Layers = PAPER,
    ) -> None:
        check_options(batch, precision, threads)
        if "decoder/dense/kernel" not in weights:
            raise ValueError("weights lack 'decoder/dense/kernel'")
        self.batch = batch
        self.z = int(np.shape(weights["decoder/dense/kernel"])[0])
        self._latents: _Floats = np.zeros((batch, self.z), np.float32)
        self._frames: _Frames = np.zeros((batch, *FRAME), np.uint8)
        openvino, _ = import_openvino()
        model = _decoder_graph(weights, batch, self.z, layers)
        self._program = Program(openvino, model, self._latents, self._frames, precision, threads)

    def decode(self, z: _Floats) -> _Frames:
        """Return the frame each latent vector stands for.

        Args:
            z: (batch, z) float32.

        Returns:
            (batch, 64, 64, 3) uint8, RGB, the decoder's output times 255, rounded.  It is the
            decoder's own buffer: the next call overwrites it, so copy what must last.

        Raises:
            ValueError: the vectors' shape is another.
        """
        if z.shape != self._latents.shape:
            raise ValueError(f"latents have shape {z.shape}, expected {self._latents.shape}")
        np.copyto(self._latents, z, casting="same_kind")
        self._program.run()
        return self._frames


def largest_inputs(weights: Weights, frames: _Frames, layers: Layers = PAPER) -> _Floats:
    """The largest number that enters each convolution, and then the heads.

    Args:
        weights: as for `Encoder`.
        frames: (N, 64, 64, 3) uint8 to measure on.
        layers: V's.

    Returns:
        (convolutions + 1,) float32.
    """
    openvino, ops = import_openvino()
    z = _columns(weights, "encoder/mu/kernel", layers.flat)
    model, entering = _encoder_graph(weights, len(frames), z, layers, None)
    tops = [ops.result(ops.reduce_max(h, constant(ops, np.arange(len(h.shape))), False))
            for h in entering]
    model = openvino.Model(tops, model.get_parameters(), "ranges")
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(frames)
    return np.array([found[i] for i in range(len(tops))], np.float32)


def _encoder_graph(weights: Weights, batch: int, z: int, layers: Layers,
                   ranges: _Floats | None) -> tuple[ov.Model, list[Any]]:
    """Build the encoder: (batch, 64, 64, 3) uint8 to (batch, 2 z), mu before log variance.

    With ``ranges`` what enters a layer, and its kernel, is rounded to whole numbers, of which
    OpenVINO makes arithmetic in int8. Also returns what enters each layer.
    """
    openvino, ops = import_openvino()
    shapes = layers.shapes(z)
    source = ops.parameter([batch, *FRAME], openvino.Type.u8)
    # Scaling stays a step of its own: folded into the first kernel it gains nothing in
    # float32 and costs a tenth of the speed in bfloat16.
    h = ops.multiply(ops.convert(source, "f32"), constant(ops, np.float32(1 / 255)))
    h = ops.transpose(h, constant(ops, np.array([0, 3, 1, 2])))  # (B, 3, 64, 64)
    entering = []

    def rounded(h: Any, kernel: _Floats, axes: tuple[int, ...]) -> tuple[Any, Any]:
        """What enters a layer, and its kernel, of which ``axes`` are summed over."""
        entering.append(h)
        weight = constant(ops, kernel)
        if ranges is None:
            return h, weight
        most = np.abs(kernel).max(axis=axes, keepdims=True)
        return (_whole(ops, h, np.float32(0), ranges[len(entering) - 1], EIGHT_BITS),
                _whole(ops, weight, -most, most, EIGHT_BITS - 1))

    for number, layer in enumerate(layers.encoder, start=1):
        kernel, bias = _layer(weights, shapes, f"encoder/conv{number}")
        kernel = kernel.transpose(3, 2, 0, 1)  # (out, in, k, k)
        h, weight = rounded(h, kernel, (1, 2, 3))
        h = ops.convolution(h, weight, [layer.stride] * 2, [0, 0], [0, 0], [1, 1])
        h = ops.relu(ops.add(h, constant(ops, bias.reshape(1, layer.filters, 1, 1))))
    heads = [_layer(weights, shapes, f"encoder/{head}") for head in ("mu", "logvar")]
    kernel = np.concatenate([kernel for kernel, _ in heads], 1)
    bias = np.concatenate([bias for _, bias in heads])
    # The graph flattens (channel, height, width), the kernel's rows are (height, width, channel).
    side, channels = layers.sides[-1], layers.encoder[-1].filters
    kernel = kernel.reshape(side, side, channels, 2 * z).transpose(2, 0, 1, 3)
    kernel = kernel.reshape(layers.flat, 2 * z)
    h = ops.reshape(h, constant(ops, np.array([batch, layers.flat])), False)  # (B, flat)
    h, weight = rounded(h, kernel, (0,))
    h = ops.matmul(h, weight, False, False)  # (B, 2 z)
    h = ops.add(h, constant(ops, bias[None]))
    return openvino.Model([ops.result(h)], [source], "encoder"), entering


def _whole(ops: Any, h: Any, low: npt.ArrayLike, high: npt.ArrayLike, levels: int) -> Any:
    """Rounded to one of so many levels from low to high."""
    ends = [constant(ops, np.asarray(end, np.float32)) for end in (low, high)]
    return ops.fake_quantize(h, *ends, *ends, levels)


def _decoder_graph(weights: Weights, batch: int, z: int, layers: Layers) -> ov.Model:
    """Build the decoder: (batch, z) float32 to (batch, 64, 64, 3) uint8."""
    openvino, ops = import_openvino()
    shapes = layers.shapes(z)
    source = ops.parameter([batch, z], openvino.Type.f32)
    # Nothing bends between the dense layer and the first transposed convolution, and on a
    # 1x1 map the latter is a matrix product: both together are one matrix (the paper's z by
    # 3200, a thirtieth of the weights the two layers hold).
    dense, dense_bias = (array.astype(np.float64)
                         for array in _layer(weights, shapes, "decoder/dense"))
    first, first_bias = _layer(weights, shapes, "decoder/deconv1")
    side, filters = layers.decoder[0].kernel, layers.decoder[0].filters
    columns = first.astype(np.float64).transpose(3, 2, 0, 1)  # columns are (channel, y, x)
    columns = columns.reshape(layers.dense, filters * side**2)
    kernel = (dense @ columns).astype(np.float32)
    bias = (dense_bias @ columns + np.repeat(first_bias, side**2)).astype(np.float32)
    h = ops.matmul(source, constant(ops, kernel), False, False)
    h = ops.add(h, constant(ops, bias[None]))
    h = ops.relu(h) if len(layers.decoder) > 1 else ops.sigmoid(h)
    h = ops.reshape(h, constant(ops, np.array([batch, filters, side, side])), False)
    for number, layer in enumerate(layers.decoder[1:], start=2):
        kernel, bias = _layer(weights, shapes, f"decoder/deconv{number}")
        kernel = kernel.transpose(3, 2, 0, 1)  # (in, out, k, k)
        h = ops.convolution_backprop_data(h, constant(ops, kernel), [layer.stride] * 2)
        h = ops.add(h, constant(ops, bias.reshape(1, layer.filters, 1, 1)))
        h = ops.relu(h) if number < len(layers.decoder) else ops.sigmoid(h)
    h = ops.multiply(h, constant(ops, np.float32(255)))
    h = ops.round(h, "half_to_even")
    h = ops.transpose(h, constant(ops, np.array([0, 2, 3, 1])))  # (B, 64, 64, 3)
    h = ops.convert(h, "u8")
    return openvino.Model([ops.result(h)], [source], "decoder")


def _layer(weights: Weights, shapes: Mapping[str, tuple[int, ...]],
           name: str) -> tuple[_Floats, _Floats]:
    """A layer's kernel and bias, checked."""
    kernel, bias = (_array(weights, f"{name}/{part}", shapes[f"{name}/{part}"])
                    for part in ("kernel", "bias"))
    return kernel, bias


def _array(weights: Weights, name: str, shape: tuple[int, ...]) -> _Floats:
    """Return ``weights[name]`` as float32 after checking its shape."""
    if name not in weights:
        raise ValueError(f"weights lack {name!r}")
    array = np.asarray(weights[name], dtype=np.float32)
    if array.shape != shape:
        raise ValueError(f"{name!r} has shape {array.shape}, expected {shape}")
    return array


def _columns(weights: Weights, name: str, rows: int) -> int:
    """Return the number of columns of matrix ``name``, which must have ``rows`` rows."""
    if name not in weights:
        raise ValueError(f"weights lack {name!r}")
    shape = np.shape(weights[name])
    if len(shape) != 2 or shape[0] != rows or shape[1] < 1:
        raise ValueError(f"{name!r} has shape {shape}, expected ({rows}, z)")
    return int(shape[1])
