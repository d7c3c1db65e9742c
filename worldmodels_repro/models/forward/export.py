"""A trained network as programs that OpenVINO runs: no Keras where it plays.

TensorFlow traces what Keras computes, and OpenVINO reads the trace.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from worldmodels_repro.models.forward.network import ForwardNetwork
from worldmodels_repro.models.runtime import import_openvino
from worldmodels_repro.storage import Arrays


def programs(network: ForwardNetwork) -> Arrays:
    """``start`` and ``step`` of a network, each as OpenVINO's text and weights.

    ``start`` takes a context and gives states (B, n); ``step`` takes [state, action] and gives
    [frame, reward, ending's logit, state], all in rows, frames in [0, 1]. Where frames are put
    together of parts, ``parts`` takes a state and gives those.

    Returns:
        ``start_xml``, ``start_bin``, ``step_xml`` and so on, each bytes (uint8).
    """
    settings = network.settings
    seen = (2,) if settings.context == "serve" else (settings.seen, network.side, network.side, 3)
    size = int(network.start(np.zeros((1, *seen), np.float32)).shape[1])

    def step(row: Any) -> Any:
        logits, features, state = network.step(row[:, :size], row[:, size:])
        frame = ops.reshape(ops.sigmoid(logits), (-1, network.pixels))
        return ops.concatenate([frame, network.outcome(features), state], axis=1)

    made = (_program("start", network.start, seen)
            | _program("step", step, (size + network.actions,)))
    if network.parts(np.zeros((1, size), np.float32)) is not None:
        made |= _program("parts", network.parts, (size,))
    return made


def _program(name: str, function: Callable[[Any], Any], shape: tuple[int, ...]) -> Arrays:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    traced = tf.function(function).get_concrete_function(
        tf.TensorSpec((None, *shape), tf.float32))
    graph = convert_variables_to_constants_v2(traced).graph.as_graph_def()
    openvino, _ = import_openvino()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.pb"
        path.write_bytes(graph.SerializeToString())
        model = openvino.Core().read_model(path)
        files = {part: Path(folder) / f"model.{part}" for part in ("xml", "bin")}
        openvino.serialize(model, files["xml"], files["bin"])
        return {f"{name}_{part}": np.frombuffer(path.read_bytes(), np.uint8)
                for part, path in files.items()}
