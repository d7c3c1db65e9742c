"""Fast CPU inference from plain NumPy weights: V, and the matrix products of M's dreams.

Rollout workers need V's encoder at every step, dreaming ones M's products, and neither anything
else of the training stack.  This module compiles them (and, for pictures, V's decoder) with
OpenVINO straight from arrays, so a worker imports neither TensorFlow nor Keras.

Every image is computed independently of its neighbours: its result has the same bits at
whatever place in the batch it stands and whatever the other images are.

The network is the one of Ha and Schmidhuber, "World Models" (2018), appendix A.1.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import openvino as ov

__all__ = ["Affine", "Decoder", "Encoder", "Precision", "cpu_capabilities",
           "vae_parameters"]

Precision = Literal["f32", "bf16"]
Weights = Mapping[str, np.ndarray]
_Floats = npt.NDArray[np.float32]
_Frames = npt.NDArray[np.uint8]

_SIDE = 64
_FILTERS = (32, 64, 128, 256)
_FLAT = 2 * 2 * 256  # what four valid stride-2 convolutions leave of 64x64
_DEFILTERS = (128, 64, 32, 3)
_DEKERNELS = (5, 5, 6, 6)


def _import_openvino() -> tuple[Any, Any]:
    """Import OpenVINO's runtime and operators without its model converter.

    The package's ``__init__`` also imports its converter, which loads hundreds of modules and
    reports the import over the network.  A ``None`` in ``sys.modules`` makes that one import
    fail, which the package allows for; the entry is taken away again afterwards.
    """
    converter = "openvino.tools.ovc"
    blocked = "openvino" not in sys.modules and converter not in sys.modules
    if blocked:
        sys.modules[converter] = None  # type: ignore[assignment]
    try:
        import openvino
        from openvino import opset15
    finally:
        if blocked:
            del sys.modules[converter]
    return openvino, opset15


def cpu_capabilities() -> list[str]:
    """What this CPU computes in, as OpenVINO names it: "FP32", "BF16", ..."""
    openvino, _ = _import_openvino()
    capabilities: list[str] = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return capabilities


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


def _check_options(batch: int, precision: str, threads: int) -> None:
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if precision not in ("f32", "bf16"):
        raise ValueError(f"precision must be 'f32' or 'bf16', got {precision!r}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")


class _Program:
    """A compiled graph of one input and one output bound to fixed NumPy buffers."""

    def __init__(
        self,
        openvino: Any,
        model: ov.Model,
        source: np.ndarray,
        target: np.ndarray,
        precision: Precision,
        threads: int,
    ) -> None:
        compiled = openvino.Core().compile_model(
            model,
            "CPU",
            {
                # Named always: left alone, a CPU with AMX would compute "float32" in bfloat16.
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                # Pinning would put every single-threaded worker on the same core.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._request = compiled.create_infer_request()
        self._request.set_input_tensor(openvino.Tensor(source, shared_memory=True))
        self._request.set_output_tensor(openvino.Tensor(target, shared_memory=True))
        # The tensors refer to these arrays without owning them.
        self._buffers = (source, target)

    def run(self) -> None:
        """Compute the target buffer from the source buffer."""
        self._request.infer()


class Encoder:
    """V's encoder for a fixed batch size: frames to the posterior's mean and log variance.

    Args:
        weights: float arrays named and laid out as Keras stores them:
            ``encoder/conv{1..4}/kernel`` (4, 4, in, out) with out = 32, 64, 128, 256 and
            ``encoder/conv{1..4}/bias`` (out,); ``encoder/mu/kernel`` and
            ``encoder/logvar/kernel`` (1024, z), their rows in (height, width, channel) order,
            and ``encoder/mu/bias``, ``encoder/logvar/bias`` (z,).  Other names are ignored.
        batch: images per call.
        precision: ``"f32"``, or ``"bf16"`` for bfloat16 products summed in float32 (several
            times faster on CPUs with AMX; its rounding error in mu is about 0.02 of the
            posterior's standard deviation, root mean square).
        threads: CPU threads a call may use.

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
    ) -> None:
        _check_options(batch, precision, threads)
        self.batch = batch
        self.z = _columns(weights, "encoder/mu/kernel", _FLAT)
        self.frames: _Frames = np.zeros((batch, _SIDE, _SIDE, 3), np.uint8)
        self._heads: _Floats = np.zeros((batch, 2 * self.z), np.float32)
        self._mu = self._heads[:, : self.z]
        self._logvar = self._heads[:, self.z :]
        openvino, _ = _import_openvino()
        model = _encoder_graph(weights, batch, self.z)
        self._program = _Program(openvino, model, self.frames, self._heads, precision, threads)

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
        weights: float arrays named and laid out as Keras stores them: ``decoder/dense/kernel``
            (z, 1024) and ``decoder/dense/bias``; ``decoder/deconv{1..4}/kernel``
            (k, k, out, in) with k = 5, 5, 6, 6 and out = 128, 64, 32, 3, and
            ``decoder/deconv{1..4}/bias`` (out,).  Other names are ignored.
        batch: vectors per call.
        precision: as for `Encoder`.
        threads: CPU threads a call may use.

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
    ) -> None:
        _check_options(batch, precision, threads)
        if "decoder/dense/kernel" not in weights:
            raise ValueError("weights lack 'decoder/dense/kernel'")
        self.batch = batch
        self.z = int(np.shape(weights["decoder/dense/kernel"])[0])
        self._latents: _Floats = np.zeros((batch, self.z), np.float32)
        self._frames: _Frames = np.zeros((batch, _SIDE, _SIDE, 3), np.uint8)
        openvino, _ = _import_openvino()
        model = _decoder_graph(weights, batch, self.z)
        self._program = _Program(openvino, model, self._latents, self._frames, precision, threads)

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


class Affine:
    """x W + b for a fixed batch, from one buffer into another.

    A row's bits depend on neither its place, nor its neighbours, nor the batch, from
    ``FEWEST`` rows on: fewer are computed by other routines.

    Args:
        kernel: W, (inputs, outputs).
        bias: b, (outputs,).
        source: x, (batch, inputs) float32, C-contiguous: what is there when `run` is called.
        target: (batch, outputs) float32, C-contiguous: where `run` writes.
        precision: as for `Encoder`.
        threads: CPU threads a call may use.

    Raises:
        ValueError: shapes do not fit, or an option is out of range.
        ImportError: OpenVINO is not installed.
    """

    FEWEST = 4

    def __init__(
        self,
        kernel: _Floats,
        bias: _Floats,
        source: _Floats,
        target: _Floats,
        precision: Precision = "f32",
        threads: int = 1,
    ) -> None:
        _check_options(len(source), precision, threads)
        (batch, inputs), outputs = source.shape, len(bias)
        if kernel.shape != (inputs, outputs) or target.shape != (batch, outputs):
            raise ValueError(
                f"x {source.shape}, W {kernel.shape}, b {bias.shape} and y {target.shape} "
                "do not fit"
            )
        for buffer in (source, target):
            if buffer.dtype != np.float32 or not buffer.flags.c_contiguous:
                raise ValueError("buffers must be float32 and C-contiguous")
        openvino, ops = _import_openvino()
        x = ops.parameter([batch, inputs], openvino.Type.f32)
        y = ops.matmul(x, _constant(ops, kernel), False, False)
        y = ops.add(y, _constant(ops, bias[None]))
        model = openvino.Model([ops.result(y)], [x], "affine")
        self._program = _Program(openvino, model, source, target, precision, threads)

    def run(self) -> None:
        """Compute the target buffer from the source buffer."""
        self._program.run()


def _encoder_graph(weights: Weights, batch: int, z: int) -> ov.Model:
    """Build the encoder: (batch, 64, 64, 3) uint8 to (batch, 2 z), mu before log variance."""
    openvino, ops = _import_openvino()
    source = ops.parameter([batch, _SIDE, _SIDE, 3], openvino.Type.u8)
    # Scaling stays a step of its own: folded into the first kernel it gains nothing in
    # float32 and costs a tenth of the speed in bfloat16.
    h = ops.multiply(ops.convert(source, "f32"), _constant(ops, np.float32(1 / 255)))
    h = ops.transpose(h, _constant(ops, np.array([0, 3, 1, 2])))  # (B, 3, 64, 64)
    channels = 3
    for layer, filters in enumerate(_FILTERS, start=1):  # sides 64, 31, 14, 6, 2
        kernel = _array(weights, f"encoder/conv{layer}/kernel", (4, 4, channels, filters))
        bias = _array(weights, f"encoder/conv{layer}/bias", (filters,))
        kernel = kernel.transpose(3, 2, 0, 1)  # (out, in, 4, 4)
        h = ops.convolution(h, _constant(ops, kernel), [2, 2], [0, 0], [0, 0], [1, 1])
        h = ops.relu(ops.add(h, _constant(ops, bias.reshape(1, filters, 1, 1))))
        channels = filters
    heads = ("encoder/mu", "encoder/logvar")
    kernel = np.concatenate([_array(weights, f"{head}/kernel", (_FLAT, z)) for head in heads], 1)
    bias = np.concatenate([_array(weights, f"{head}/bias", (z,)) for head in heads])
    # The graph flattens (channel, height, width), the kernel's rows are (height, width, channel).
    kernel = kernel.reshape(2, 2, 256, 2 * z).transpose(2, 0, 1, 3).reshape(_FLAT, 2 * z)
    h = ops.reshape(h, _constant(ops, np.array([batch, _FLAT])), False)  # (B, 1024)
    h = ops.matmul(h, _constant(ops, kernel), False, False)  # (B, 2 z)
    h = ops.add(h, _constant(ops, bias[None]))
    return openvino.Model([ops.result(h)], [source], "encoder")


def _decoder_graph(weights: Weights, batch: int, z: int) -> ov.Model:
    """Build the decoder: (batch, z) float32 to (batch, 64, 64, 3) uint8."""
    openvino, ops = _import_openvino()
    source = ops.parameter([batch, z], openvino.Type.f32)
    # Nothing bends between the dense layer and the first transposed convolution, and on a
    # 1x1 map the latter is a matrix product: both together are one z by 3200 matrix, a
    # thirtieth of the weights the two layers hold.
    dense = _array(weights, "decoder/dense/kernel", (z, _FLAT)).astype(np.float64)
    dense_bias = _array(weights, "decoder/dense/bias", (_FLAT,)).astype(np.float64)
    first = _array(weights, "decoder/deconv1/kernel", (5, 5, 128, _FLAT)).astype(np.float64)
    first = first.transpose(3, 2, 0, 1).reshape(_FLAT, 128 * 25)  # columns (channel, y, x)
    first_bias = np.repeat(_array(weights, "decoder/deconv1/bias", (128,)), 25)
    kernel = (dense @ first).astype(np.float32)  # (z, 3200)
    bias = (dense_bias @ first + first_bias).astype(np.float32)  # (3200,)
    h = ops.matmul(source, _constant(ops, kernel), False, False)
    h = ops.relu(ops.add(h, _constant(ops, bias[None])))
    h = ops.reshape(h, _constant(ops, np.array([batch, 128, 5, 5])), False)
    channels = 128
    for layer in (2, 3, 4):  # sides 5, 13, 30, 64
        filters, size = _DEFILTERS[layer - 1], _DEKERNELS[layer - 1]
        shape = (size, size, filters, channels)
        kernel = _array(weights, f"decoder/deconv{layer}/kernel", shape)
        bias = _array(weights, f"decoder/deconv{layer}/bias", (filters,))
        kernel = kernel.transpose(3, 2, 0, 1)  # (in, out, k, k)
        h = ops.convolution_backprop_data(h, _constant(ops, kernel), [2, 2])
        h = ops.add(h, _constant(ops, bias.reshape(1, filters, 1, 1)))
        h = ops.relu(h) if layer < 4 else ops.sigmoid(h)
        channels = filters
    h = ops.multiply(h, _constant(ops, np.float32(255)))
    h = ops.round(h, "half_to_even")
    h = ops.transpose(h, _constant(ops, np.array([0, 2, 3, 1])))  # (B, 64, 64, 3)
    h = ops.convert(h, "u8")
    return openvino.Model([ops.result(h)], [source], "decoder")


def _constant(ops: Any, array: npt.ArrayLike) -> Any:
    return ops.constant(np.ascontiguousarray(array))


def vae_parameters(z: int) -> int:
    """How many numbers V has, encoder and decoder, at so many latent dimensions."""
    sizes = [(4, 3, _FILTERS[0]), *((4, *pair) for pair in pairwise(_FILTERS))]
    sizes += [(size, *pair) for size, pair in
              zip(_DEKERNELS, pairwise((_FLAT, *_DEFILTERS)), strict=True)]
    convolutions = sum((size * size * inputs + 1) * outputs for size, inputs, outputs in sizes)
    return convolutions + 2 * (_FLAT + 1) * z + (z + 1) * _FLAT
