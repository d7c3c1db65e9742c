"""An ONNX graph, node by node, with weights in half precision where that loses nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from worldmodels_repro.models.weights import as_halves

OPSET, IR = 17, 8  # of 2022: what reads ONNX today reads these
BATCH = "batch"


class Graph:
    """One model, as it is put together; all it takes and gives has a batch in front.

    Args:
        name: of the model.
    """

    def __init__(self, name: str):
        self._name = name
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, shape: Sequence[int], means: str, kind: str = "FLOAT") -> str:
        """Something that the model takes, and what it means."""
        self._inputs.append(helper.make_tensor_value_info(
            name, TensorProto.DataType.Value(kind), [BATCH, *shape], means))
        return name

    def output(self, name: str, value: str, shape: Sequence[int], means: str) -> None:
        """Something that the model gives, and what it means."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [BATCH, *shape], means))

    def weight(self, array: np.ndarray) -> str:
        """A constant, as float32 for whoever takes it; kept as halves where it is halves."""
        kept = as_halves(np.ascontiguousarray(array, np.float32))
        name = self._constant(kept)
        return name if kept.dtype == np.float32 else self.node("Cast", name, to=TensorProto.FLOAT)

    def integers(self, *values: int) -> str:
        """A shape, or sizes."""
        return self._constant(np.array(values, np.int64))

    def node(self, operator: str, *inputs: str, **settings: Any) -> str:
        """An operator with one output; its name."""
        return self.nodes(operator, 1, *inputs, **settings)[0]

    def nodes(self, operator: str, count: int, *inputs: str, **settings: Any) -> list[str]:
        """An operator with several outputs; their names."""
        outputs = [f"{operator.lower()}_{len(self._nodes)}_{k}" for k in range(count)]
        self._nodes.append(helper.make_node(operator, inputs, outputs, **settings))
        return outputs

    def affine(self, x: str, kernel: np.ndarray, bias: np.ndarray) -> str:
        """x W + b: (batch, inputs) -> (batch, outputs)."""
        return self.node("Add", self.node("MatMul", x, self.weight(kernel)), self.weight(bias))

    def model(self, about: Mapping[str, str]) -> bytes:
        """The whole model, checked; the same bytes for the same graph."""
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs,
                                  self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                                  ir_version=IR, producer_name="worldmodels")
        helper.set_model_props(model, dict(about))
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _constant(self, array: np.ndarray) -> str:
        name = f"constant_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(array, name))
        return name
