"""Speed and memory of V's encoder on one core, in each inference runtime installed."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing as mp
import os
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

BATCHES = (1, 16, 64)
ROUNDS = 5
SECONDS = 0.15  # length of one timed stretch
BATCH = 16  # the batch whose speed is the headline
FILTERS = (32, 64, 128, 256)
Z = 32

Weights = dict[str, np.ndarray]
Call = Callable[[np.ndarray], Any]


def encode(rounds: int = ROUNDS, batches: tuple[int, ...] = BATCHES) -> dict[str, Any]:
    """Compare `Encoder` with the other runtimes installed, one core each, taking turns.

    Every runtime lives in a process of its own that holds NumPy, the runtime and the compiled
    encoder.  The processes share one core and are timed in turn, so that what else the
    machine does falls on all alike.

    Args:
        rounds: timed stretches of each runtime at each batch; the medians count.
        batches: frames a call; `BATCH` is one of them.

    Returns:
        ``name``, ``value`` and ``baseline`` (frames per second at batch 16 of `Encoder` in
        bfloat16 and of the fastest other runtime), ``unit``, their ``ratio`` and ``details``:
        per runtime, ``frames_per_s`` by batch, ``import_s``, ``compile_s``, ``rss_mb``.
    """
    details: dict[str, dict[str, Any]] = {}
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(affinity)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            np.savez(path / "weights.npz", allow_pickle=False, **encoder_weights())
            names = [name for name, modules in NEEDS.items() if all(map(_installed, modules))]
            for batch in batches:
                for name, row in _compare(names, batch, path, rounds).items():
                    entry = details.setdefault(name, {"frames_per_s": {}})
                    entry["frames_per_s"][batch] = row.pop("frames_per_s")
                    if batch == BATCH:
                        entry.update(row)
    finally:
        os.sched_setaffinity(0, affinity)
    speeds = {name: entry["frames_per_s"][BATCH] for name, entry in details.items()}
    value = speeds["openvino bf16"]
    others = [speed for name, speed in speeds.items() if not name.startswith("openvino")]
    baseline = max(others, default=None)
    return {
        "name": "encode",
        "value": value,
        "unit": "frames/s on one core",
        "baseline": baseline,
        "ratio": value / baseline if baseline else None,
        "details": details,
    }


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def encoder_weights(z: int = Z) -> Weights:
    rng = np.random.default_rng(0)
    weights: Weights = {}
    channels = 3
    shapes: list[tuple[str, tuple[int, ...]]] = []
    for i, filters in enumerate(FILTERS, start=1):
        shapes.append((f"conv{i}", (4, 4, channels, filters)))
        channels = filters
    shapes += [("mu", (1024, z)), ("logvar", (1024, z))]
    for name, shape in shapes:
        scale = np.sqrt(2 / np.prod(shape[:-1]))
        weights[f"encoder/{name}/kernel"] = rng.normal(0, scale, shape).astype(np.float32)
        weights[f"encoder/{name}/bias"] = rng.normal(0, 0.05, shape[-1]).astype(np.float32)
    weights["encoder/ranges"] = np.full(len(FILTERS) + 1, 3.0, np.float32)  # of that order
    return weights


def _compare(
    names: list[str], batch: int, folder: Path, rounds: int
) -> dict[str, dict[str, Any]]:
    """Time each runtime at one batch size; returns one row per runtime."""
    context = mp.get_context("spawn")
    workers: dict[str, tuple[Any, Connection]] = {}
    rows: dict[str, dict[str, Any]] = {}
    try:
        for name in names:
            _convert(name, batch, folder)
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(name, batch, folder, there))
            process.start()
            there.close()
            workers[name] = (process, here)
            rows[name] = here.recv()
        speeds: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(rounds):
            for name, (_, pipe) in workers.items():
                pipe.send("time")
                speeds[name].append(pipe.recv())
        for name in names:
            rows[name]["frames_per_s"] = median(speeds[name])
    finally:
        for process, pipe in workers.values():
            pipe.close()
            process.join()
    return rows


def _serve(name: str, batch: int, folder: Path, pipe: Connection) -> None:
    """Prepare one runtime, report its costs, then time a stretch at every request."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    start = time.perf_counter()
    prepare = PREPARE[name]()
    imported = time.perf_counter()
    with np.load(folder / "weights.npz") as archive:
        call = prepare(dict(archive), batch, folder)
    frames = np.random.default_rng(1).integers(0, 256, (batch, 64, 64, 3), np.uint8)
    call(frames)
    compiled = time.perf_counter()
    status = Path("/proc/self/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    pipe.send(
        {"import_s": imported - start, "compile_s": compiled - imported, "rss_mb": rss / 1024}
    )
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        count, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < SECONDS:
            call(frames)
            count += batch
        pipe.send(count / elapsed)


def _convert(name: str, batch: int, folder: Path) -> None:
    """Write the file a runtime loads, in this process, so its memory is not counted."""
    with np.load(folder / "weights.npz") as archive:
        weights = dict(archive)
    if name == "onnxruntime":
        _write_onnx(weights, batch, folder / f"{batch}.onnx")
    elif name == "litert":
        import tensorflow as tf

        program = _tensorflow_program(weights, batch)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([program])
        (folder / f"{batch}.tflite").write_bytes(converter.convert())


def _heads(weights: Weights, channels_first: bool) -> tuple[np.ndarray, np.ndarray]:
    kernel = np.concatenate([weights["encoder/mu/kernel"], weights["encoder/logvar/kernel"]], 1)
    bias = np.concatenate([weights["encoder/mu/bias"], weights["encoder/logvar/bias"]])
    if channels_first:
        kernel = kernel.reshape(2, 2, 256, -1).transpose(2, 0, 1, 3).reshape(1024, -1)
    return np.ascontiguousarray(kernel), bias


def _write_onnx(weights: Weights, batch: int, path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants = []

    def constant(name: str, array: Any) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", constant("scale", np.float32(1 / 255))], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["h0"], perm=[0, 3, 1, 2]),
    ]
    for i in range(1, 5):
        kernel = constant(f"k{i}", weights[f"encoder/conv{i}/kernel"].transpose(3, 2, 0, 1))
        bias = constant(f"b{i}", weights[f"encoder/conv{i}/bias"])
        inputs = [f"h{i - 1}", kernel, bias]
        nodes.append(helper.make_node("Conv", inputs, [f"c{i}"], strides=[2, 2]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"h{i}"]))
    matrix, offset = _heads(weights, channels_first=True)
    nodes.append(helper.make_node("Flatten", ["h4"], ["flat"]))
    inputs = ["flat", constant("kernel", matrix), constant("bias", offset)]
    nodes.append(helper.make_node("Gemm", inputs, ["heads"]))
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, [batch, 64, 64, 3])],
        [helper.make_tensor_value_info("heads", TensorProto.FLOAT, [batch, 2 * Z])],
        constants,
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def _tensorflow_program(weights: Weights, batch: int) -> Any:
    import tensorflow as tf

    kernel, bias = _heads(weights, channels_first=False)

    def run(frames: Any) -> Any:
        h = tf.cast(frames, tf.float32) * (1 / 255)
        for i in range(1, 5):
            h = tf.nn.conv2d(h, weights[f"encoder/conv{i}/kernel"], 2, "VALID")
            h = tf.nn.relu(tf.nn.bias_add(h, weights[f"encoder/conv{i}/bias"]))
        return tf.matmul(tf.reshape(h, [batch, 1024]), kernel) + bias

    spec = tf.TensorSpec([batch, 64, 64, 3], tf.uint8)
    return tf.function(run).get_concrete_function(spec)


def _openvino(precision: Any) -> Callable[[], Callable[..., Call]]:
    def load() -> Callable[..., Call]:
        from worldmodels_repro.models.runtime import import_openvino
        from worldmodels_repro.models.vae.programs import Encoder

        # Counted as import time: the class imports the runtime only when it is built.
        import_openvino()

        def prepare(weights: Weights, batch: int, folder: Path) -> Call:
            return Encoder(weights, batch, precision).encode

        return prepare

    return load


def _onnxruntime() -> Callable[..., Call]:
    import onnxruntime

    def prepare(weights: Weights, batch: int, folder: Path) -> Call:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            str(folder / f"{batch}.onnx"), options, providers=["CPUExecutionProvider"]
        )
        source = np.zeros((batch, 64, 64, 3), np.uint8)
        target = np.zeros((batch, 2 * Z), np.float32)
        binding = session.io_binding()
        binding.bind_input("frames", "cpu", 0, np.uint8, source.shape, source.ctypes.data)
        binding.bind_output("heads", "cpu", 0, np.float32, target.shape, target.ctypes.data)

        def call(frames: np.ndarray) -> np.ndarray:
            np.copyto(source, frames)
            session.run_with_iobinding(binding)
            return target

        return call

    return prepare


def _litert() -> Callable[..., Call]:
    from ai_edge_litert.interpreter import Interpreter

    def prepare(weights: Weights, batch: int, folder: Path) -> Call:
        interpreter = Interpreter(str(folder / f"{batch}.tflite"), num_threads=1)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        target = interpreter.get_output_details()[0]["index"]

        def call(frames: np.ndarray) -> Any:
            interpreter.set_tensor(source, frames)
            interpreter.invoke()
            return interpreter.get_tensor(target)

        return call

    return prepare


def _tensorflow() -> Callable[..., Call]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def prepare(weights: Weights, batch: int, folder: Path) -> Call:
        program = _tensorflow_program(weights, batch)
        return lambda frames: program(tf.constant(frames)).numpy()

    return prepare


NEEDS = {
    "openvino f32": ["openvino"],
    "openvino bf16": ["openvino"],
    "onnxruntime": ["onnxruntime", "onnx"],
    "litert": ["ai_edge_litert", "tensorflow"],
    "tensorflow": ["tensorflow"],
}
PREPARE: dict[str, Callable[[], Callable[..., Call]]] = {
    "openvino f32": _openvino("f32"),
    "openvino bf16": _openvino("bf16"),
    "onnxruntime": _onnxruntime,
    "litert": _litert,
    "tensorflow": _tensorflow,
}

if __name__ == "__main__":
    json.dump(encode(), sys.stdout, indent=2)
