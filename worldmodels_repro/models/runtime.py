"""Fast CPU inference from plain NumPy weights, by OpenVINO: what V's and M's programs share.

Rollout workers need V's encoder at every step, dreaming ones M's products, and neither anything
else of the training stack: graphs are compiled straight from arrays, so a worker imports neither
TensorFlow nor Keras. Every row of a batch is computed independently of its neighbours: its result
has the same bits at whatever place it stands and whatever the others are.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from worldmodels_repro.models.contracts import Precision

if TYPE_CHECKING:
    import openvino as ov

__all__ = ["Affine", "Precision", "Program", "arithmetic", "check_options", "constant",
           "cpu_capabilities", "has_bfloat16", "import_openvino"]

_Floats = npt.NDArray[np.float32]


def import_openvino() -> tuple[Any, Any]:
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
    openvino, _ = import_openvino()
    capabilities: list[str] = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return capabilities


def has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16, and does not emulate it."""
    return "BF16" in cpu_capabilities()


def arithmetic(asked: Literal["fast"] | Precision) -> Precision:
    """``fast`` is bf16 on a CPU that computes in bfloat16, and int8 on others."""
    if asked != "fast":
        return asked
    return "bf16" if has_bfloat16() else "int8"


def check_options(batch: int, precision: str, threads: int) -> None:
    """Refuse options out of range with a ValueError."""
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {get_args(Precision)}, got {precision!r}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")


class Program:
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
                # What is int8 the graph itself says; the rest is float32 then.
                "INFERENCE_PRECISION_HINT": "f32" if precision == "int8" else precision,
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
        check_options(len(source), precision, threads)
        (batch, inputs), outputs = source.shape, len(bias)
        if kernel.shape != (inputs, outputs) or target.shape != (batch, outputs):
            raise ValueError(
                f"x {source.shape}, W {kernel.shape}, b {bias.shape} and y {target.shape} "
                "do not fit"
            )
        for buffer in (source, target):
            if buffer.dtype != np.float32 or not buffer.flags.c_contiguous:
                raise ValueError("buffers must be float32 and C-contiguous")
        openvino, ops = import_openvino()
        x = ops.parameter([batch, inputs], openvino.Type.f32)
        y = ops.matmul(x, constant(ops, kernel), False, False)
        y = ops.add(y, constant(ops, bias[None]))
        model = openvino.Model([ops.result(y)], [x], "affine")
        self._program = Program(openvino, model, source, target, precision, threads)

    def run(self) -> None:
        """Compute the target buffer from the source buffer."""
        self._program.run()


def constant(ops: Any, array: npt.ArrayLike) -> Any:
    """An array as a graph's constant."""
    return ops.constant(np.ascontiguousarray(array))
