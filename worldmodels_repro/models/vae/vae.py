"""V: the variational autoencoder (section 2.2, appendix A.1, figure 22)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from worldmodels_repro.frame import FRAME
from worldmodels_repro.models.optimizers import optimizer
from worldmodels_repro.models.vae.fast_layers import OnePixelConv2DTranspose
from worldmodels_repro.models.vae.layers import PAPER, Layers
from worldmodels_repro.sections import Vae


class VAE(keras.Model):
    """Frames (64, 64, 3) -> z -> frames.

    The paper's layers have 4,348,547 parameters at z = 32 and 4,446,915 at z = 64.

    Args:
        z: latent dimensions.
        kl_tolerance: free nats of KL per latent dimension.
        square_weight, fourth_weight: of the errors' second and fourth powers in the loss.
        layers: the table of its layers.
    """

    def __init__(self, z: int = 32, kl_tolerance: float = 0.5, square_weight: float = 1.0,
                 fourth_weight: float = 0.0, layers: Layers = PAPER, **kwargs: Any):
        # No autocast: the noise stays float32 where the layers compute in bfloat16.
        super().__init__(autocast=False, **kwargs)
        self.z = z
        self.kl_tolerance = kl_tolerance
        self.square_weight, self.fourth_weight = square_weight, fourth_weight
        dtype = self.dtype_policy

        # === Encoder (figure 22, left) ===
        self.encoder_layers: list[Any] = [
            keras.layers.Conv2D(layer.filters, layer.kernel, strides=layer.stride,
                                activation="relu", name=f"conv{number}", dtype=dtype)
            for number, layer in enumerate(layers.encoder, start=1)]
        self.encoder_layers.append(keras.layers.Flatten())
        self.mu_layer = keras.layers.Dense(z, name="mu", dtype="float32")
        self.logvar_layer = keras.layers.Dense(z, name="logvar", dtype="float32")

        # === Decoder (figure 22, right) ===
        self.decoder_layers: list[Any] = [
            keras.layers.Dense(layers.dense, name="dense", dtype=dtype),
            keras.layers.Reshape((1, 1, layers.dense))]
        last = len(layers.decoder)
        for number, layer in enumerate(layers.decoder, start=1):
            kind = OnePixelConv2DTranspose if number == 1 else keras.layers.Conv2DTranspose
            self.decoder_layers.append(kind(
                layer.filters, layer.kernel, strides=layer.stride,
                activation="relu" if number < last else None, name=f"deconv{number}",
                dtype=dtype))

        # === Metrics, per image ===
        self.metrics_by_name = {name: keras.metrics.Mean(name=name)
                                for name in ("loss", "reconstruction", "kl")}
        self.build((None, *FRAME))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create every weight, so that parameters can be counted and loaded before any data."""
        shape: Any = input_shape
        for layer in self.encoder_layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)  # (B, side, side, c) ... then (B, flat)
        self.mu_layer.build(shape)
        self.logvar_layer.build(shape)
        shape = (None, self.z)
        for layer in self.decoder_layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)  # (B, side, side, c) ...
        self.built = True

    def encode(self, frames: Any) -> tuple[Any, Any]:
        """Posterior parameters of each frame.

        Args:
            frames: (B, 64, 64, 3) uint8, or float in [0, 255].

        Returns:
            mu and log sigma^2, each (B, z) float32.
        """
        x = ops.cast(frames, self.compute_dtype) / 255.0
        for layer in self.encoder_layers:
            x = layer(x)
        return self.mu_layer(x), self.logvar_layer(x)

    def decode(self, z: Any) -> Any:
        """Latents (B, z) -> frames (B, 64, 64, 3) float32 in [0, 1]."""
        x = z
        for layer in self.decoder_layers:
            x = layer(x)
        return ops.sigmoid(ops.cast(x, "float32"))

    def call(self, inputs: Any, training: bool = False) -> tuple[Any, Any, Any]:
        """Encode, sample z = mu + sigma eps, decode.

        Args:
            inputs: frames (B, 64, 64, 3) and noise eps (B, z), standard normal.

        Returns:
            reconstruction (B, 64, 64, 3), mu (B, z), log sigma^2 (B, z).
        """
        frames, noise = inputs
        mu, logvar = self.encode(frames)
        z = mu + ops.exp(0.5 * logvar) * noise  # (B, z)
        return self.decode(z), mu, logvar

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None,
                     sample_weight: Any = None, training: bool = True) -> Any:
        """Sum of squared errors plus the tolerated KL, mean over the batch (appendix A.1).

        ``fourth_weight`` adds the sum of fourth powers; it is no part of the paper's loss.
        """
        frames = ops.cast(x[0], "float32") / 255.0
        reconstruction, mu, logvar = y_pred
        squares = ops.square(frames - reconstruction)  # (B, 64, 64, 3)
        error = ops.mean(ops.sum(squares, axis=(1, 2, 3)))
        kl = kl_divergence(mu, logvar)  # (B,)
        loss = self.square_weight * error + ops.mean(
            ops.maximum(kl, self.kl_tolerance * self.z))
        if self.fourth_weight:
            fourths = ops.sum(ops.square(squares), axis=(1, 2, 3))  # (B,)
            loss = loss + self.fourth_weight * ops.mean(fourths)
        for name, value in (("loss", loss), ("reconstruction", error), ("kl", ops.mean(kl))):
            self.metrics_by_name[name].update_state(value)
        return loss

    @property
    def metrics(self) -> list[Any]:
        """Running means since the last reset: loss, reconstruction, kl."""
        return list(self.metrics_by_name.values())


def kl_divergence(mu: Any, logvar: Any) -> Any:
    """KL(N(mu, sigma^2) || N(0, 1)) summed over latent dimensions: (B, z), (B, z) -> (B,)."""
    return -0.5 * ops.sum(1.0 + logvar - ops.square(mu) - ops.exp(logvar), axis=1)


def compiled_vae(settings: Vae, seed: int, layers: Layers = PAPER) -> VAE:
    """V ready to train, its first weights drawn from ``seed``."""
    keras.utils.set_random_seed(seed)
    vae = VAE(settings.z, settings.kl_tolerance, settings.square_weight, settings.fourth_weight,
              layers, dtype=settings.precision)
    vae.compile(optimizer=optimizer(settings))
    return vae
