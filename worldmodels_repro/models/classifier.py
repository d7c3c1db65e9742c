"""What tells a map's windows apart, in Keras: dense layers, a class of each pixel told."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from worldmodels_repro.envs.detector_maps import CLASSES
from worldmodels_repro.models.keras_convolutions import folded
from worldmodels_repro.sections import Classify


def classifier(settings: Classify) -> Any:
    """Windows (B, window^2), in counts -> logits (B, output^2, 3); compiled.

    Targets are one of 3 for each pixel, times its weight.
    """
    inputs = values = keras.Input((settings.window**2,))
    for number in range(1, settings.layers + 1):
        values = layers.Dense(settings.units, kernel_initializer="he_normal",
                              name=f"layer{number}")(values)
        if settings.normalise:
            values = layers.BatchNormalization(name=f"norm{number}")(values)
        values = layers.ReLU()(values)
        if settings.dropout:
            values = layers.Dropout(settings.dropout)(values)
    values = layers.Dense(settings.output**2 * len(CLASSES), name="out")(values)
    model = keras.Model(inputs, layers.Reshape((settings.output**2, len(CLASSES)))(values))
    optimizer = (keras.optimizers.Adam(settings.learning_rate) if settings.optimizer == "adam"
                 else keras.optimizers.SGD(settings.learning_rate, settings.momentum,
                                           settings.nesterov))
    model.compile(optimizer=optimizer, loss=cross_entropy, metrics=[accuracy])
    return model


def cross_entropy(targets: Any, logits: Any) -> Any:
    """The mean over pixels of -w log p of each one's class; targets (B, n, 3) are w there."""
    # TensorFlow's own cross-entropy has a wrong slope where targets don't add up to 1.
    return -ops.mean(ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1))


def accuracy(targets: Any, logits: Any) -> Any:
    """The share of pixels whose most likely class is theirs."""
    right = ops.argmax(targets, axis=-1) == ops.argmax(logits, axis=-1)
    return ops.mean(ops.cast(right, "float32"))


def as_network(model: Any) -> np.ndarray:
    """Its weights (n,) as :class:`models.network.Network` reads them; a normalisation is part of
    the layer before it."""
    return folded(model.layers)
