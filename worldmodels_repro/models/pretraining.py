"""What learns before C does: an autoencoder (M1), a transition network (M2), and networks from the
game's state to a frame and back. Imports Keras.

Pictures are numbers from -1 to 1 here, as a frame's bytes divided by 127.5, less 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from worldmodels_repro.models.convolutions import FrameEncoder
from worldmodels_repro.models.keras_convolutions import encoder_layers, scaled
from worldmodels_repro.models.weights import load_weights, set_weights
from worldmodels_repro.sections import Pretrain
from worldmodels_repro.storage import load_npz

FILTERS, KERNEL = 64, 4  # of the transposed convolutions
DROPPED = 3  # of them leave something out in training
DRAWN = 8  # side of the picture that a state becomes first


@dataclass(frozen=True)
class Scale:
    """What states are less of, and over: a number each for all of a state's."""

    mean: float = 0.0
    deviation: float = 1.0


def scale_of(states: np.ndarray) -> Scale:
    """Of states (N, S), all their numbers together."""
    return Scale(float(states.mean()), float(states.std()))


def autoencoder(encoder: FrameEncoder, dropout: float) -> Any:
    """Stacks of frames (B, S, S, C) uint8 -> the same as numbers from -1 to 1, by way of the
    encoder's outputs: those are the layer ``code``."""
    inputs = keras.Input(encoder.shape, dtype="uint8")
    values = layers.Lambda(scaled)(inputs)
    for layer in encoder_layers(encoder, norms=True):
        values = layer(values)
    values = layers.Identity(name="code")(values)
    if encoder.latent is not None:
        values = layers.Dense(encoder.flat, name="dense1")(values)
    side = encoder.sides[-1]
    values = layers.Reshape((side, side, encoder.layers[-1].filters))(values)
    return keras.Model(inputs, _drawn(values, encoder.shape, dropout))


def state_decoder(settings: Pretrain, states: int, shape: tuple[int, int, int],
                  scale: Scale) -> Any:
    """States (B, states) -> frames (B, S, S, c), numbers from -1 to 1."""
    inputs = keras.Input((states,))
    values = _normal(inputs, scale)
    for number, units in enumerate(settings.hidden, start=1):
        values = layers.Dense(units, name=f"dense{number}")(values)
        values = layers.BatchNormalization(name=f"norm{number}")(values)
        values = layers.Activation(settings.activation)(values)
    values = layers.Reshape((DRAWN, DRAWN, settings.hidden[-1] // DRAWN**2))(values)
    return keras.Model(inputs, _drawn(values, shape, settings.dropout))


def state_regressor(settings: Pretrain, encoder: FrameEncoder, states: int, scale: Scale) -> Any:
    """Stacks of frames (B, S, S, C) uint8 -> states (B, states)."""
    inputs = keras.Input(encoder.shape, dtype="uint8")
    values = layers.Lambda(scaled)(inputs)
    for layer in encoder_layers(encoder, norms=True):
        values = layer(values)
    values = _dense(values, settings)
    values = layers.Dense(states, name="out")(values)
    return keras.Model(inputs, values * scale.deviation + scale.mean)


def transition(settings: Pretrain, features: int, actions: int, scale: Scale) -> Any:
    """What is seen and done, (B, features + actions) -> what is seen next (B, features)."""
    inputs = keras.Input((features + actions,))
    seen = inputs[:, :features]
    values = layers.Concatenate()([_normal(seen, scale), inputs[:, features:]])
    values = layers.Dense(features, name="out")(_dense(values, settings))
    return keras.Model(inputs, seen + values * scale.deviation)


def load_transition(run: Path, settings: Pretrain, features: int, actions: int) -> Any:
    """The transition network of a run folder.

    Raises:
        UserError: there is none, or it is of something else.
    """
    folder = run / "pretrain" / "transition"
    model = transition(settings, features, actions, load_scale(folder))
    set_weights(model, load_weights(folder / "weights.npz"), str(folder / "weights.npz"))
    model.trainable = False
    return model


def load_scale(folder: Path) -> Scale:
    """What a network's folder says of its states.

    Raises:
        UserError: there is no such file.
    """
    arrays = load_npz(folder / "scale.npz", ("mean", "deviation"))
    return Scale(float(arrays["mean"]), float(arrays["deviation"]))


def root_mean_square(unit: float) -> Callable[[Any, Any], Any]:
    """The loss sqrt(mean((y - y')^2)) of a batch, in multiples of ``unit``."""
    def loss(y: Any, predicted: Any) -> Any:
        # The root has no slope at 0.
        return ops.sqrt(ops.mean(ops.square((y - predicted) / unit)) + 1e-12)
    return loss


def mean_square(unit: float) -> Callable[[Any, Any], Any]:
    """The loss mean((y - y')^2) of a batch, in multiples of ``unit``."""
    return lambda y, predicted: ops.mean(ops.square((y - predicted) / unit))


def seed_dropout(model: Any, seed: int, step: int) -> None:
    """What is left out in a training step depends on its number alone: so it can resume."""
    for number, layer in enumerate(model.layers):
        if isinstance(layer, layers.Dropout):
            layer.seed_generator.state.assign(np.array([(seed + number) % 2**32, step], np.uint32))


def _drawn(values: Any, shape: tuple[int, int, int], dropout: float) -> Any:
    """A small picture (B, s, s, n) -> one of ``shape``, twice the side at each layer."""
    doublings = (shape[0] // values.shape[1]).bit_length() - 1
    for number in range(1, doublings + 1):
        last = number == doublings
        values = layers.Conv2DTranspose(shape[2] if last else FILTERS, KERNEL, 2, "same",
                                        activation="tanh" if last else None,
                                        name=f"deconv{number}")(values)
        if not last:
            values = layers.BatchNormalization(name=f"drawn{number}")(values)
            if dropout and number <= DROPPED:
                values = layers.Dropout(dropout)(values)
            values = layers.ReLU()(values)
    return values


def _dense(values: Any, settings: Pretrain) -> Any:
    for number, units in enumerate(settings.hidden, start=1):
        values = layers.Dense(units, settings.activation, name=f"dense{number}")(values)
    return values


def _normal(states: Any, scale: Scale) -> Any:
    return (states - scale.mean) / scale.deviation
