"""What a learner is to the stage that has it play, and what DQN and TD3 share of Keras."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from worldmodels_repro.errors import UserError
from worldmodels_repro.learning.frames import FrameRing
from worldmodels_repro.learning.replay import Columns, Memory
from worldmodels_repro.models.keras_convolutions import encoder_layers, scaled
from worldmodels_repro.models.network import Network
from worldmodels_repro.sections import Learn
from worldmodels_repro.storage import Arrays


class Learner(Protocol):
    """A policy and what learns it.

    Attributes:
        columns: of the transitions that it learns from.
        policy: (1, n) the weights of the network that acts; written over by each update.
    """

    columns: Columns
    policy: np.ndarray

    def explore(self, seen: np.ndarray, step: int,
                rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """What is seen (F,) -> what is done: as it is remembered (K,), and as outputs (1, n)."""

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, width) -> OFFPOL, ||a - pi(s)||^2, (N,)."""

    def update(self, memory: Memory, times: int, rng: np.random.Generator) -> float:
        """Learn from so many batches; the mean loss."""

    def start_with(self, weights: np.ndarray) -> None:
        """The policy's first layers, or all, begin with these weights (n,), learnt before."""

    def renew_target(self) -> None:
        """``learn.target_every`` steps have gone by."""

    def state(self) -> Arrays:
        """All that learning goes on from."""

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state`."""


def set_threads(threads: int) -> None:
    """How many threads TensorFlow may use, 0 for one a core; before it computes anything.

    Raises:
        UserError: Keras works with another backend.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError("learn compiles its updates with TensorFlow: type unset KERAS_BACKEND")
    with suppress(RuntimeError):  # it has computed already, with as many as it was told then
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def columns_of(network: Network, done: int) -> Columns:
    """Of its transitions: what was seen itself, or two numbers that name the frames of it."""
    return Columns(network.features if network.encoder is None else 2, done)


def keras_network(network: Network, late: int = 0) -> Any:
    """A Keras model with :class:`Network`'s layers behind the features, and what comes out of it
    (B, outputs).

    The last ``late`` of its inputs (B, features + late) enter behind the first layer.
    """
    he_or_xavier = "he_normal" if network.activation == "relu" else "glorot_uniform"
    inputs = values = keras.Input((network.features + late,))
    if late:
        values = inputs[:, :network.features]
    for number, units in enumerate(network.hidden):
        values = layers.Dense(units, network.activation, kernel_initializer=he_or_xavier)(values)
        if late and number == 0:
            values = layers.Concatenate()([values, inputs[:, network.features:]])
    values = layers.Dense(network.outputs + network.dueling,
                          "tanh" if network.kind == "actions" else None)(values)
    if network.dueling:
        values = layers.Lambda(dueling)(values)
    return keras.Model(inputs, values)


def keras_encoder(network: Network) -> Any:
    """A Keras model of what sees its frames, (B, S, S, C) uint8 -> (B, features)."""
    assert network.encoder is not None  # whoever asks has looked
    inputs = keras.Input(network.encoder.shape, dtype="uint8")
    values = layers.Lambda(scaled)(inputs)
    for layer in encoder_layers(network.encoder, norms=False):
        values = layer(values)
    return keras.Model(inputs, values)


def whole_network(network: Network) -> Any:
    """A Keras model of all of it: features or frames -> (B, outputs)."""
    behind = keras_network(network)
    if network.encoder is None:
        return behind
    encoder = keras_encoder(network)
    return keras.Model(encoder.input, behind(encoder.output))


def stacks_of(frames: FrameRing | None, columns: Columns,
              rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows (B, width) -> the frames that were seen and those seen next, (B, S, S, C) each; nothing
    where features are what is seen."""
    if frames is None:
        return ()
    return frames.stacks(columns.seen(rows)), frames.stacks(columns.following(rows))


def dueling(outputs: Any) -> Any:
    """V(s) and A(s, .), (B, 1 + n) -> Q(s, .) (B, n) (Wang et al. 2016, equation 9)."""
    advantage = outputs[:, 1:]
    return outputs[:, :1] + advantage - keras.ops.mean(advantage, axis=1, keepdims=True)


def compiled(function: Callable[..., Any], *arrays: np.ndarray,
             xla: bool = True) -> Callable[..., Any]:
    """A function of arrays like these, compiled by XLA: they must always have the same shapes.

    For networks this small a call costs more than what it computes; that TensorFlow need not look
    for the right program each time halves it. Convolutions are left to TensorFlow's own kernels.
    """
    specs = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
    program = tf.function(function, jit_compile=xla).get_concrete_function(*specs)
    return lambda *given: program(*map(tf.constant, given))


def adam(settings: Learn, variables: list[Any]) -> Any:
    """The optimiser of these variables; the gradient of each is clipped by its own norm."""
    optimizer = keras.optimizers.Adam(settings.learning_rate, clipnorm=settings.clip)
    optimizer.build(variables)
    return optimizer


def flat(*models: Any) -> Any:
    """Models' weights as one tensor (n,), as :class:`Network` reads them."""
    return tf.concat([tf.reshape(variable.value, [-1]) for model in models
                      for variable in model.trainable_variables], axis=0)


def arrays_of(**parts: Any) -> Arrays:
    """Models' and optimisers' variables, ``part/000`` ..."""
    return {f"{name}/{number:03d}": np.asarray(variable) for name, part in parts.items()
            for number, variable in enumerate(part.variables)}


def set_arrays(state: Arrays, source: str, **parts: Any) -> None:
    """Undo :func:`arrays_of`.

    Raises:
        UserError: one is missing or does not fit.
    """
    for name, part in parts.items():
        for number, variable in enumerate(part.variables):
            array = state.get(f"{name}/{number:03d}")
            if array is None or array.shape != tuple(variable.shape):
                raise UserError(f"{source} does not hold this learner's state: remove its folder "
                                "to learn anew")
            variable.assign(array)
