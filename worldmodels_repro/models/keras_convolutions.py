"""A :class:`FrameEncoder` as Keras layers: as it learns with C, and as it learns before."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from worldmodels_repro.models.convolutions import SLOPE, FrameEncoder


def scaled(frames: Any) -> Any:
    """Frames uint8 -> float32 from -1 to 1."""
    return ops.cast(frames, "float32") * (2 / 255) - 1.0


def encoder_layers(encoder: FrameEncoder, norms: bool) -> list[Any]:
    """Its layers in turn, for frames that are scaled; with batch normalisation where it says so
    and ``norms`` asks for it."""
    found: list[Any] = []
    for number, layer in enumerate(encoder.layers, start=1):
        found.append(layers.Conv2D(layer.filters, layer.kernel, layer.stride,
                                   "same" if layer.same else "valid", name=f"conv{number}",
                                   kernel_initializer="he_normal"))
        if norms and layer.norm:
            found.append(layers.BatchNormalization(name=f"norm{number}"))
        if layer.bend != "linear":
            found.append(layers.ReLU() if layer.bend == "relu" else layers.LeakyReLU(SLOPE))
        if layer.pool > 1:
            found.append(layers.MaxPooling2D(layer.pool))
    found.append(layers.Flatten())
    if encoder.latent is not None:
        found.append(layers.Dense(encoder.latent, name="latent"))
    return found


def folded(trained: list[Any]) -> np.ndarray:
    """Layers of :func:`encoder_layers` -> their weights (n,) as :class:`FrameEncoder` reads them.

    A normalisation's gamma, beta, mean and variance become part of the kernel before it.
    """
    flat: list[np.ndarray] = []
    for layer in trained:
        if isinstance(layer, layers.BatchNormalization):
            kernel, bias = flat[-2:]
            gamma, beta, mean, variance = (np.asarray(variable) for variable in (
                layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance))
            scale = gamma / np.sqrt(variance + layer.epsilon)
            flat[-2:] = [kernel * scale, (bias - mean) * scale + beta]
        else:
            flat += [np.asarray(variable) for variable in layer.weights]
    return np.concatenate([array.ravel() for array in flat]).astype(np.float32)


def unfold(weights: np.ndarray, model: Any) -> None:
    """Undo :func:`folded`: weights (n,) into a model that begins with such layers."""
    start = 0
    for variable in model.trainable_variables:
        if start == len(weights):
            break
        size = int(np.prod(variable.shape))
        variable.assign(weights[start:start + size].reshape(variable.shape))
        start += size
