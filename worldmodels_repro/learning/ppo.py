"""PPO on a C like the paper's: the gradient of what its noise brought (Schulman et al. 2017)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from worldmodels_repro.learning.advantages import advantages_of
from worldmodels_repro.learning.learner import arrays_of, compiled, set_arrays
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.sections import Ppo
from worldmodels_repro.storage import Arrays

LEAST = 0.05  # a feature's deviation counts as no less: one that hardly moves is not blown up
PART = 8192  # states that the critic values at a time


class PPO:
    """C's weights, its noise, and a critic that tells what a state is worth.

    Args:
        shape: C's sizes.
        start: (n,) its first weights.
        settings: the config's ``ppo``.
        seed: of the critic's first weights.
    """

    def __init__(self, shape: ControllerShape, start: np.ndarray, settings: Ppo, seed: int):
        keras.utils.set_random_seed(seed)
        self._settings = settings
        features = keras.Input((shape.features,))
        values = features
        for number, (_, outputs) in enumerate(shape.layers, start=1):
            values = layers.Dense(outputs, "tanh" if number < len(shape.layers) else None,
                                  use_bias=shape.bias)(values)
        self._actor = keras.Model(features, values)
        for layer, (matrix, bias) in zip(self._actor.layers[1:], shape.parts(start[None]),
                                         strict=True):
            layer.set_weights([matrix[0].T, *([] if bias is None else [bias[0]])])
        self._critic = keras.Sequential([
            keras.Input((shape.features,)), layers.Dense(settings.critic, "tanh"),
            layers.Dense(1)])
        self._scales = _Scales(shape, settings.sigma)
        self._trained = [*self._actor.trainable_variables, self._scales.log_sigma]
        self._actor_optimizer = keras.optimizers.Adam(settings.learning_rate)
        self._critic_optimizer = keras.optimizers.Adam(settings.learning_rate)
        self._actor_optimizer.build(self._trained)
        self._critic_optimizer.build(self._critic.trainable_variables)
        rows = np.zeros((settings.batch, shape.features), np.float32)
        column = np.zeros(settings.batch, np.float32)
        actions = np.zeros((settings.batch, shape.actions), np.float32)
        self._step = compiled(self._learn, rows, actions, column, column, column)
        part = np.zeros((PART, shape.features), np.float32)
        self._value = compiled(self._worth, part)
        self._likely = compiled(self._log_likelihood, part,
                                np.zeros((PART, shape.actions), np.float32))

    @property
    def weights(self) -> np.ndarray:
        """(n,) C's, as :class:`ControllerShape` reads them."""
        return np.concatenate([array.T.ravel() for array in self._actor.get_weights()])

    @property
    def sigma(self) -> np.ndarray:
        """(A,) standard deviations of the noise on what C gives before tanh."""
        return np.exp(np.asarray(self._scales.log_sigma))

    def update(self, seen: np.ndarray, outputs: np.ndarray, rewards: np.ndarray,
               lengths: np.ndarray, ended: np.ndarray,
               rng: np.random.Generator) -> dict[str, float]:
        """Learn from N steps of E episodes.

        Args:
            seen: (N, F) what C saw.
            outputs: (N, A) what it gave, before tanh.
            rewards: (N,).
            lengths: (E,) steps of each episode.
            ended: (E,) whether by itself: the others were cut, and would have gone on.
            rng: of the order of steps.

        Returns:
            ``kl``, how far the policy was moved, in nats; the ``rate`` that did; the critic's
            ``explained`` variance.
        """
        settings, scales = self._settings, self._scales
        if not np.asarray(scales.unit):
            gains = advantages_of(rewards, np.zeros(len(seen), np.float32), lengths, ended,
                                  settings.gamma, 1.0)[1]
            scales.measure(seen, gains)
        values = _in_parts(self._value, seen)
        before = _in_parts(self._likely, seen, outputs)
        advantages, targets, usable = advantages_of(
            rewards * np.asarray(scales.unit), values, lengths, ended, settings.gamma,
            settings.trace)
        worth = advantages[usable]
        explained = 1.0 - float(np.var(worth) / max(np.var(targets[usable]), 1e-12))
        advantages = (advantages - worth.mean()) / (worth.std() + 1e-6)
        divergences: list[float] = []
        for _ in range(settings.epochs):
            # What is left over is in another epoch; too few for a batch are taken again.
            steps = max(len(usable) // settings.batch, 1)
            rows = np.resize(rng.permutation(usable), (steps, settings.batch))
            for batch in rows:
                divergences.append(float(self._step(
                    seen[batch].astype(np.float32), outputs[batch], before[batch],
                    advantages[batch], targets[batch])))
        moved = float(np.mean(divergences[-steps:]))
        rate = float(np.asarray(self._actor_optimizer.learning_rate))
        self._actor_optimizer.learning_rate = next_rate(rate, moved, settings.kl)
        return {"kl": moved, "rate": rate, "explained": explained}

    def _worth(self, seen: Any) -> Any:
        """What states (B, F) are worth, (B,)."""
        scales = self._scales
        return self._critic((seen - scales.mean) / scales.deviation)[:, 0]

    def _log_likelihood(self, seen: Any, outputs: Any) -> Any:
        """log N(outputs; C's, sigma), less what does not change, (B,)."""
        log_sigma = ops.convert_to_tensor(self._scales.log_sigma)
        errors = (outputs - self._actor(seen)) / ops.exp(log_sigma)
        return -ops.sum(0.5 * errors**2 + log_sigma, axis=1)

    def _learn(self, seen: Any, outputs: Any, before: Any, advantages: Any, targets: Any) -> Any:
        """A step on a batch; how far the policy is from the one that acted (KL)."""
        with tf.GradientTape() as tape:
            log_ratio = self._log_likelihood(seen, outputs) - before
            loss = clipped_loss(log_ratio, advantages, self._settings.clip) \
                - self._settings.entropy * ops.sum(self._scales.log_sigma)
        self._actor_optimizer.apply(tape.gradient(loss, self._trained), self._trained)
        critic = self._critic.trainable_variables
        with tf.GradientTape() as tape:
            loss = ops.mean((self._worth(seen) - targets)**2)
        self._critic_optimizer.apply(tape.gradient(loss, critic), critic)
        return ops.mean(ops.exp(log_ratio) - 1.0 - log_ratio)

    def state(self) -> Arrays:
        """All that learning goes on from."""
        return arrays_of(**self._parts())

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state`.

        Raises:
            UserError: it is another learner's.
        """
        set_arrays(state, source, **self._parts())

    def _parts(self) -> dict[str, Any]:
        """What holds variables."""
        return {"actor": self._actor, "critic": self._critic, "scales": self._scales,
                "actor_optimizer": self._actor_optimizer,
                "critic_optimizer": self._critic_optimizer}


class _Scales:
    """How large things are: C's noise, which is learnt, and what the first episodes showed.

    Attributes:
        log_sigma: (A,) of the noise before tanh.
        mean, deviation: (F,) of features; for the critic alone.
        unit: () of rewards, so that what states are worth varies by about 1; 0 before it is known.
    """

    def __init__(self, shape: ControllerShape, sigma: float):
        self.log_sigma = keras.Variable(np.full(shape.actions, np.log(sigma), np.float32))
        self.mean, self.deviation = (keras.Variable(np.full(shape.features, value, np.float32))
                                     for value in (0.0, 1.0))
        self.unit = keras.Variable(np.zeros((), np.float32))
        self.variables = [self.log_sigma, self.mean, self.deviation, self.unit]

    def measure(self, seen: np.ndarray, gains: np.ndarray) -> None:
        """Of features (N, F), and of what rewards (N,) came to after each."""
        self.mean.assign(seen.mean(axis=0, dtype=np.float32))
        self.deviation.assign(np.maximum(seen.std(axis=0, dtype=np.float32), LEAST))
        self.unit.assign(1.0 / max(float(gains.std()), 1e-6))


def _in_parts(function: Any, *arrays: np.ndarray) -> np.ndarray:
    """A compiled function of all N rows of arrays, of which it takes PART at a time, (N,)."""
    found = []
    for first in range(0, len(arrays[0]), PART):
        found.append(function(*(np.resize(array[first:first + PART].astype(np.float32),
                                          (PART, array.shape[1])) for array in arrays)).numpy())
    return np.concatenate(found)[:len(arrays[0])]


def next_rate(rate: float, moved: float, wanted: float) -> float:
    """A rate that moves the policy about as far as wanted: noise that fades asks for less."""
    factor = 1.5 if moved < wanted / 1.5 else 1 / 1.5 if moved > wanted * 1.5 else 1.0
    return float(np.clip(rate * factor, 1e-6, 0.1))


def clipped_loss(log_ratio: Any, advantages: Any, clip: float) -> Any:
    """-E[min(r A, clip(r, 1 - eps, 1 + eps) A)] (equation 7), of log r (B,) and A (B,)."""
    ratio = ops.exp(log_ratio)
    return -ops.mean(ops.minimum(ratio * advantages,
                                 ops.clip(ratio, 1.0 - clip, 1.0 + clip) * advantages))
