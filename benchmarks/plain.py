"""What a user of gymnasium, Keras and NumPy would write first: what the project is held against."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from benchmarks.bodies import INPUTS, UNITS, dreaming_memory, memory_weights
from benchmarks.measure import Stretch
from worldmodels_repro.envs.car_racing import crop_and_resize
from worldmodels_repro.training.quiet import import_keras_quietly

Z, MIXTURES = 32, 5


def keras_loop(timed: int, steps: int) -> Stretch:
    """One game, one frame at a time through Keras's V and M, a linear C.

    Args:
        timed: steps that are timed; one track is added to every ``steps`` of them.
        steps: length of an episode.
    """
    import_keras_quietly(onednn=False)
    import keras

    encoder, _ = _plain_vae()
    lstm = keras.layers.LSTM(UNITS, return_state=True)
    env = gymnasium.make("CarRacing-v3")
    rng = np.random.default_rng(0)
    matrix, offset = 0.1 * rng.standard_normal((3, Z + UNITS)), 0.1 * rng.standard_normal(3)

    def drive(seed: int, count: int) -> float:
        start = time.perf_counter()
        frame, _ = env.reset(seed=seed)
        h = c = np.zeros((1, UNITS), np.float32)
        begun = time.perf_counter()
        for _ in range(count):
            seen = crop_and_resize(frame)[None].astype(np.float32) / 255.0
            mu, logvar = (np.asarray(head) for head in encoder(seen))
            z = mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape)
            steer, gas, brake = np.tanh(matrix @ np.concatenate([z, h], axis=1)[0] + offset)
            action = np.array([steer, (gas + 1) / 2, np.clip(brake, 0, 1)], np.float32)
            frame, _, terminated, truncated, _ = env.step(action)
            inputs = np.concatenate([z, action[None]], axis=1).astype(np.float32)
            _, h, c = (np.asarray(state) for state in lstm(inputs[:, None], initial_state=[h, c]))
            if terminated or truncated:
                break
        one = (time.perf_counter() - begun) / count
        return steps / (begun - start + steps * one)

    drive(0, 3)
    return lambda number: drive(number, timed)


def vae_fit(frames: np.ndarray, batch: int) -> Stretch:
    """V as in Keras's own VAE example, with the paper's layers and loss, by ``fit``."""
    import keras
    import tensorflow as tf

    class PlainVAE(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = _plain_vae()
            self.tracker = keras.metrics.Mean(name="loss")

        @property
        def metrics(self) -> list[Any]:
            return [self.tracker]

        def train_step(self, images: Any) -> dict[str, Any]:
            with tf.GradientTape() as tape:
                mu, logvar = self.encoder(images)
                z = mu + tf.exp(0.5 * logvar) * tf.random.normal(tf.shape(mu))
                error = tf.reduce_sum(tf.square(images - self.decoder(z)), axis=(1, 2, 3))
                kl = -0.5 * tf.reduce_sum(1 + logvar - tf.square(mu) - tf.exp(logvar), axis=1)
                loss = tf.reduce_mean(error + tf.maximum(kl, 0.5 * Z))
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            self.tracker.update_state(loss)
            return {"loss": self.tracker.result()}

    keras.utils.set_random_seed(0)
    model = PlainVAE()
    model.compile(optimizer=keras.optimizers.Adam(1e-4))
    images = frames.astype(np.float32) / 255.0
    return _timed_fit(model, (images,), batch, len(images) // batch * batch)


def memory_fit(inputs: np.ndarray, targets: np.ndarray, batch: int) -> Stretch:
    """M as a ``Sequential`` with the mixture's likelihood as its loss, by ``fit``; steps/s."""
    import keras
    from keras import ops

    def likelihood(target: Any, outputs: Any) -> Any:
        shape = (-1, target.shape[1], Z, MIXTURES)
        logits, mu, log_sigma = (ops.reshape(part, shape) for part in ops.split(outputs, 3, -1))
        normal = -0.5 * ops.square((target[..., None] - mu) / ops.exp(log_sigma)) - log_sigma
        return -ops.mean(ops.logsumexp(ops.log_softmax(logits) + normal - 0.9189385, axis=-1))

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.LSTM(UNITS, return_sequences=True),
                              keras.layers.Dense(3 * MIXTURES * Z)])
    model.compile(optimizer=keras.optimizers.Adam(1e-3, clipvalue=1.0), loss=likelihood)
    return _timed_fit(model, (inputs, targets), batch, len(inputs) // batch)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def _lstm_step(weights: Mapping[str, np.ndarray], x: np.ndarray, h: np.ndarray,
               c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gates = x @ weights["lstm/kernel"] + h @ weights["lstm/recurrent_kernel"] + weights["lstm/bias"]
    i, f, g, o = np.split(gates, 4, axis=1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def lstm_steps(batch: int, calls: int) -> Stretch:
    """M's step in NumPy, written from its equations; a stretch does ``calls`` of them."""
    weights = memory_weights()
    rng = np.random.default_rng(0)
    z = rng.standard_normal((batch, Z), np.float32)
    action = rng.standard_normal((batch, INPUTS - Z), np.float32)
    h = c = np.zeros((batch, UNITS), np.float32)

    def stretch(number: int) -> float:
        nonlocal h, c
        start = time.perf_counter()
        for _ in range(calls):
            x = np.concatenate([z, action], axis=1)
            h, c = _lstm_step(weights, x, h, c)
        return calls / (time.perf_counter() - start)

    return stretch


def dream_steps(units: int, z: int, batch: int, calls: int) -> Stretch:
    """Dreams from the equations of M, its mixture and C; a stretch does ``calls`` steps of all."""
    weights = dreaming_memory(units, z).weights
    rng = np.random.default_rng(0)
    # All candidates' matrices act at once, as any NumPy user would have them.
    matrices = 0.1 * rng.standard_normal((batch, 3, z + units), np.float32)
    offsets = 0.1 * rng.standard_normal((batch, 3), np.float32)
    h = c = np.zeros((batch, units), np.float32)
    latents: np.ndarray = rng.standard_normal((batch, z), np.float32)
    returns, done = np.zeros(batch), np.zeros(batch, bool)

    def stretch(number: int) -> float:
        nonlocal h, c, latents, returns, done
        start = time.perf_counter()
        for _ in range(calls):
            features = np.concatenate([latents, h], axis=1)
            out = np.tanh((matrices @ features[:, :, None])[:, :, 0] + offsets)
            action = np.stack([out[:, 0], (out[:, 1] + 1) / 2, np.clip(out[:, 2], 0, 1)], axis=1)
            x = np.concatenate([latents, action], axis=1)
            h, c = _lstm_step(weights, x, h, c)
            outputs = h @ weights["mdn/kernel"] + weights["mdn/bias"]
            logits, mu, log_sigma = (outputs[:, k * MIXTURES * z:(k + 1) * MIXTURES * z].reshape(
                batch, z, MIXTURES) for k in range(3))
            p = np.exp(logits - logits.max(axis=-1, keepdims=True))
            p /= p.sum(axis=-1, keepdims=True)
            u = rng.random((batch, z, 1), np.float32)
            picked = (np.cumsum(p, axis=-1) < u).sum(axis=-1).clip(0, MIXTURES - 1)[..., None]
            mean = np.take_along_axis(mu, picked, axis=-1)[..., 0]
            sigma = np.exp(np.take_along_axis(log_sigma, picked, axis=-1)[..., 0])
            latents = mean + sigma * rng.standard_normal((batch, z), np.float32)
            returns = returns + outputs[:, -1]
            done = done | (outputs[:, -2] > 0)
        return calls * batch / (time.perf_counter() - start)

    stretch(0)
    return stretch


def collection(folder: Path, steps: int) -> Stretch:
    """One process, gymnasium, random actions, ``np.savez_compressed``; frames/s."""
    env = gymnasium.make("CarRacing-v3")
    env.reset(seed=0)

    def stretch(number: int) -> float:
        start = time.perf_counter()
        frames, actions, rewards = [], [], []
        frame, _ = env.reset(seed=number)
        for _ in range(steps):
            action = env.action_space.sample()
            frames.append(crop_and_resize(frame))
            frame, reward, terminated, truncated, _ = env.step(action)
            actions.append(action)
            rewards.append(reward)
            if terminated or truncated:
                break
        np.savez_compressed(folder / f"{number}.npz", frames=np.array(frames),
                            actions=np.array(actions), rewards=np.array(rewards))
        return len(frames) / (time.perf_counter() - start)

    return stretch


def _plain_vae() -> tuple[Any, Any]:
    """Encoder (images -> mu, log sigma^2) and decoder (z -> images) of appendix A.1."""
    import keras
    from keras import layers

    images = keras.Input((64, 64, 3))
    x = images
    for filters in (32, 64, 128, 256):
        x = layers.Conv2D(filters, 4, strides=2, activation="relu")(x)
    x = layers.Flatten()(x)
    encoder = keras.Model(images, [layers.Dense(Z)(x), layers.Dense(Z)(x)])
    latents = keras.Input((Z,))
    x = layers.Reshape((1, 1, 1024))(layers.Dense(1024)(latents))
    for filters, size in ((128, 5), (64, 5), (32, 6)):
        x = layers.Conv2DTranspose(filters, size, strides=2, activation="relu")(x)
    x = layers.Conv2DTranspose(3, 6, strides=2, activation="sigmoid")(x)
    return encoder, keras.Model(latents, x)


def _timed_fit(model: Any, arrays: tuple[np.ndarray, ...], batch: int, work: int) -> Stretch:
    """``work`` units are one epoch of ``arrays``; the first batches compile, untimed."""
    model.fit(*(array[:2 * batch] for array in arrays), batch_size=batch, verbose=0)

    def stretch(number: int) -> float:
        start = time.perf_counter()
        model.fit(*arrays, batch_size=batch, verbose=0)
        return work / (time.perf_counter() - start)

    return stretch
