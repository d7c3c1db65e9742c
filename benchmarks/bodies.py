"""Agents that were never trained, for speed alone: real sizes, real arithmetic, random weights."""

from __future__ import annotations

import numpy as np

from benchmarks.encode import encoder_weights
from worldmodels_repro.models.contracts import Precision
from worldmodels_repro.models.mdn_rnn.forward import MdnRnn
from worldmodels_repro.models.vae.vision import Vision
from worldmodels_repro.storage import Arrays
from worldmodels_repro.worlds.agent import Body
from worldmodels_repro.worlds.dream import Dream

UNITS, INPUTS = 256, 35  # M's units, and z and an action


def memory_weights(inputs: int = INPUTS, units: int = UNITS) -> Arrays:
    """M's LSTM as it is before any training."""
    shapes = {"lstm/kernel": (inputs, 4 * units), "lstm/recurrent_kernel": (units, 4 * units),
              "lstm/bias": (4 * units,)}
    return _untrained(shapes, inputs - 3).weights


def _untrained(shapes: dict[str, tuple[int, ...]], z: int, restart_input: bool = False) -> MdnRnn:
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    heads = "mdn/bias" in shapes
    return MdnRnn(weights=weights, z=z, done=heads, reward=heads,
                  restart_input=restart_input).untrained(0)


def body(precision: Precision) -> Body:
    """The paper's CarRacing agent but for its controller."""
    return Body(game="car_racing", vision=Vision(encoder_weights()),
                memory=MdnRnn(weights=memory_weights(), z=32), inputs=("z", "h"), hidden=0,
                bias=True, sample_z=True, precision=precision)


def doom_body(precision: Precision) -> Body:
    """The paper's Doom agent but for its controller."""
    memory = MdnRnn(weights=memory_weights(66, 512), z=64, restart_input=True)
    return Body(game="take_cover", vision=Vision(encoder_weights(64)), memory=memory,
                inputs=("z", "c", "h"), hidden=0, bias=False, sample_z=True, precision=precision)


def dreaming_memory(units: int, z: int) -> MdnRnn:
    """M with both heads, of these sizes, whose dreams last."""
    shapes = {"lstm/kernel": (z + 3, 4 * units), "lstm/recurrent_kernel": (units, 4 * units),
              "lstm/bias": (4 * units,), "mdn/kernel": (units, 15 * z + 2),
              "mdn/bias": (15 * z + 2,)}
    memory = _untrained(shapes, z)
    memory.weights["mdn/bias"][15 * z] = -20.0  # no step is an ending
    return memory


def dream(units: int, z: int, precision: Precision) -> Dream:
    """A dream that lasts; C sees z and h."""
    starts = {name: np.zeros((1, z), np.float32) for name in ("mu", "logvar")}
    return Dream(game="car_racing", memory=dreaming_memory(units, z), starts=starts,
                 inputs=("z", "h"), temperature=1.0, precision=precision)


def controllers(count: int, weights: int, seed: int) -> np.ndarray:
    """What CMA-ES asks for in its first generation, (count, weights): cars that drive."""
    rng = np.random.default_rng([seed, 0xC])
    return (0.1 * rng.standard_normal((count, weights))).astype(np.float32)
