"""M's LSTM in training on a CPU: the layer's equations, with a gradient that is cheaper there.

Keras adds up a weight matrix's gradient step by step: for Doom's M four megabytes 250 times a
window. Here each step only leaves what its gates gave, and one product over all steps sums it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from keras import layers, ops


def hidden_states(lstm: layers.LSTM, inputs: Any) -> Any:
    """What the layer makes of inputs (B, T, n), from h_0 = c_0 = 0: (B, T, units).

    Matrix products are in the layer's type, all else in float32.
    """
    cell, dtype = lstm.cell, lstm.compute_dtype
    weights = (ops.cast(weight, dtype) for weight in (cell.kernel, cell.recurrent_kernel))
    by_time = ops.transpose(ops.cast(inputs, dtype), (1, 0, 2))  # (T, B, n)
    hidden = _followed(by_time, *weights, ops.cast(cell.bias, "float32"))
    return ops.cast(ops.transpose(hidden, (1, 0, 2)), dtype)


@ops.custom_gradient
def _followed(x: Any, kernel: Any, recurrent: Any, bias: Any) -> tuple[Any, Any]:
    """x (T, B, n) -> h (T, B, H), and how h's gradient goes back to all four."""
    units = recurrent.shape[0]
    driven = _float(ops.matmul(x, kernel)) + bias  # (T, B, 4 H)
    zeros = ops.zeros_like(driven[0])
    _, (h, c, gates) = ops.scan(partial(_step, recurrent),
                                (zeros[:, :units], zeros[:, :units], zeros), driven)

    def backward(upstream: Any) -> tuple[Any, ...]:
        before = ops.concatenate([ops.zeros_like(c[:1]), c[:-1]])  # c_{t-1}
        _, (dz, _) = ops.scan(partial(_step_back, ops.transpose(recurrent)),
                              (zeros, zeros[:, :units]), (_float(upstream), c, before, gates),
                              reverse=True)
        rows = ops.cast(ops.reshape(dz, (-1, 4 * units)), x.dtype)  # (T B, 4 H)
        h_before = ops.concatenate([ops.zeros_like(h[:1]), h[:-1]])
        dx = ops.reshape(ops.matmul(rows, ops.transpose(kernel)), ops.shape(x))
        return dx, _summed(x, rows), _summed(ops.cast(h_before, x.dtype), rows), ops.sum(
            dz, axis=(0, 1))

    return h, backward


def _step(recurrent: Any, state: tuple[Any, ...], driven: Any) -> tuple[Any, Any]:
    """One step: h, c (B, H) and the gates' values (B, 4 H): input, forget, candidate, output."""
    h, c, _ = state
    z = driven + _float(ops.matmul(ops.cast(h, recurrent.dtype), recurrent))
    units = h.shape[-1]
    sigmoids, candidate, output = ops.split(z, (2 * units, 3 * units), axis=-1)
    sigmoids, candidate, output = ops.sigmoid(sigmoids), ops.tanh(candidate), ops.sigmoid(output)
    i, f = ops.split(sigmoids, 2, axis=-1)
    c = f * c + i * candidate
    h = output * ops.tanh(c)
    now = (h, c, ops.concatenate([sigmoids, candidate, output], axis=-1))
    return now, now


def _step_back(recurrent: Any, state: tuple[Any, Any], there: tuple[Any, ...]) -> tuple[Any, Any]:
    """The gradient of what went into a step's gates, dz (B, 4 H), and of its c_{t-1} (B, H)."""
    dz, dc = state
    dh, c, before, gates = there
    dh = dh + _float(ops.matmul(ops.cast(dz, recurrent.dtype), recurrent))
    i, f, candidate, output = ops.split(gates, 4, axis=-1)
    squashed = ops.tanh(c)
    dc = dc + dh * output * (1.0 - squashed * squashed)
    dz = ops.concatenate([
        dc * candidate * i * (1.0 - i), dc * before * f * (1.0 - f),
        dc * i * (1.0 - candidate * candidate), dh * squashed * output * (1.0 - output)], axis=-1)
    now = (dz, dc * f)
    return now, now


def _float(x: Any) -> Any:
    return ops.cast(x, "float32")


def _summed(inputs: Any, rows: Any) -> Any:
    """sum over steps and windows of inputs (T, B, n) by gradients (T B, 4 H): (n, 4 H)."""
    return ops.matmul(ops.transpose(ops.reshape(inputs, (-1, inputs.shape[-1]))), rows)
