"""Agents that were never trained, for speed alone: real sizes, real arithmetic, random weights."""

from __future__ import annotations

import numpy as np

from benchmarks.encode import encoder_weights
from worldmodels_repro.models.runtime import Precision
from worldmodels_repro.storage import Arrays
from worldmodels_repro.worlds.agent import Body, untrained
from worldmodels_repro.worlds.dream import Dream

UNITS, INPUTS = 256, 35  # M's units, and z and an action


def memory_weights(inputs: int = INPUTS, units: int = UNITS) -> Arrays:
    """M's LSTM as it is before any training."""
    shapes = {"lstm/kernel": (inputs, 4 * units), "lstm/recurrent_kernel": (units, 4 * units),
              "lstm/bias": (4 * units,)}
    return untrained({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, 0)


def body(precision: Precision) -> Body:
    """The paper's CarRacing agent but for its controller."""
    return Body("car_racing", encoder_weights(), memory_weights(), ("z", "h"), 0, True, True,
                precision)


def doom_body(precision: Precision) -> Body:
    """The paper's Doom agent but for its controller."""
    return Body("take_cover", encoder_weights(64), memory_weights(66, 512), ("z", "c", "h"), 0,
                False, True, precision, restart_input=True)


def dream(units: int, z: int, precision: Precision) -> Dream:
    """A dream that lasts: M with both heads, of these sizes; C sees z and h."""
    shapes = {"lstm/kernel": (z + 3, 4 * units), "lstm/recurrent_kernel": (units, 4 * units),
              "lstm/bias": (4 * units,), "mdn/kernel": (units, 15 * z + 2),
              "mdn/bias": (15 * z + 2,)}
    memory = untrained({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, 0)
    memory["mdn/bias"][15 * z] = -20.0  # no step is an ending
    starts = {name: np.zeros((1, z), np.float32) for name in ("mu", "logvar")}
    return Dream("car_racing", memory, starts, ("z", "h"), True, True, False, 1.0, precision)


def controllers(count: int, weights: int, seed: int) -> np.ndarray:
    """What CMA-ES asks for in its first generation, (count, weights): cars that drive."""
    rng = np.random.default_rng([seed, 0xC])
    return (0.1 * rng.standard_normal((count, weights))).astype(np.float32)
