"""TD3: an actor and two critics (Fujimoto et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from worldmodels_repro.learning.explore import noisy
from worldmodels_repro.learning.learner import (
    adam,
    arrays_of,
    compiled,
    flat,
    keras_network,
    set_arrays,
)
from worldmodels_repro.learning.replay import Columns, Memory
from worldmodels_repro.models.network import Network
from worldmodels_repro.sections import Learn
from worldmodels_repro.storage import Arrays

BLOCK = 50  # updates in one call: fewer are done one by one


class TD3:
    """A :class:`learning.learner.Learner` of a network of actions in [-1, 1].

    Args:
        network: its sizes; the critics have the same layers between.
        settings: the config's ``learn``.
        seed: of its first weights.
    """

    def __init__(self, network: Network, settings: Learn, seed: int):
        keras.utils.set_random_seed(seed)
        self._network, self._settings = network, settings
        self.columns = Columns(network.features, network.outputs)
        critic = replace(network, features=network.features + network.outputs, outputs=1,
                         kind="values")
        self._parts = {"actor": keras_network(network), "first": keras_network(critic),
                       "second": keras_network(critic)}
        self._targets = {f"target_{name}": keras.models.clone_model(model)
                         for name, model in self._parts.items()}
        for model, target in zip(self._parts.values(), self._targets.values(), strict=True):
            target.set_weights(model.get_weights())
        critics = [variable for name in ("first", "second")
                   for variable in self._parts[name].trainable_variables]
        self._optimizers = {
            "actor_optimizer": adam(settings, self._parts["actor"].trainable_variables),
            "critics_optimizer": adam(settings, critics)}
        self._critics = critics
        self._updates = 0
        self.policy = np.asarray(flat(self._parts["actor"]))[None]
        self._programs: dict[int, Callable[..., Any]] = {}  # by updates in a call

    def explore(self, seen: np.ndarray, step: int,
                rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Uniform for the first steps, then the policy's with noise: an action (A,), (1, A)."""
        if step < self._settings.random_steps:
            action = rng.uniform(-1.0, 1.0, self._network.outputs).astype(np.float32)
        else:
            action = noisy(self._network.act(self.policy, seen[None])[0], self._settings.noise, rng)
        return action, action[None]

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """||a - pi(s)||^2."""
        policy = self._network.act(self.policy, self.columns.seen(rows))
        return np.asarray(np.square(self.columns.actions(rows) - policy).sum(axis=1))

    def update(self, memory: Memory, times: int, rng: np.random.Generator) -> float:
        """Learn from so many batches: the critics' mean loss."""
        losses, left = 0.0, times
        while left:
            count = BLOCK if left >= BLOCK else 1
            rows = np.stack([memory.draw(self._settings.batch, rng).rows for _ in range(count)])
            noise = rng.standard_normal((*rows.shape[:2], self._network.outputs), np.float32)
            before = np.asarray(self._updates, np.int32)
            if count not in self._programs:
                self._programs[count] = compiled(self._learn, rows, noise, before)
            loss, weights = self._programs[count](rows, noise, before)
            self._updates += count
            losses += float(loss)
            left -= count
        self.policy = weights.numpy()[None]
        return losses / times

    def _learn(self, batches: Any, noise: Any, before: Any) -> tuple[Any, Any]:
        """Updates by batches (k, B, width) with noise (k, B, A); losses' sum, the actor's weights.

        ``before``: updates before these.
        """
        losses = tf.zeros(())
        for number in tf.range(tf.shape(batches)[0]):
            seen = batches[number][:, :self.columns.features]
            losses += self._learn_values(batches[number], noise[number])
            if (before + number + 1) % self._settings.policy_every == 0:
                self._learn_policy(seen)
        return losses, flat(self._parts["actor"])

    def _learn_values(self, rows: Any, noise: Any) -> Any:
        settings, targets = self._settings, self._targets
        seen, actions, rewards, following, ended = tf.split(rows, self.columns.sizes, axis=1)
        then = ops.concatenate([following, smoothed(targets["target_actor"](following), noise,
                                                    settings.target_noise, settings.target_clip)],
                               axis=1)
        target = value_target(rewards, ended, settings.gamma, targets["target_first"](then),
                              targets["target_second"](then))  # (B, 1)
        now = ops.concatenate([seen, actions], axis=1)
        with tf.GradientTape() as tape:
            loss = sum(ops.mean(ops.square(self._parts[name](now) - target))
                       for name in ("first", "second"))
        self._optimizers["critics_optimizer"].apply(tape.gradient(loss, self._critics),
                                                    self._critics)
        return loss

    def _learn_policy(self, seen: Any) -> None:
        actor = self._parts["actor"]
        with tf.GradientTape() as tape:
            value = self._parts["first"](ops.concatenate([seen, actor(seen)], axis=1))
            loss = -ops.mean(value)
        variables = actor.trainable_variables
        self._optimizers["actor_optimizer"].apply(tape.gradient(loss, variables), variables)
        for model, target in zip(self._parts.values(), self._targets.values(), strict=True):
            for new, old in zip(model.trainable_variables, target.trainable_variables, strict=True):
                old.assign(averaged(old, new, self._settings.polyak))

    def renew_target(self) -> None:
        """Its targets follow with every update of the actor."""

    def state(self) -> Arrays:
        """All networks and optimisers, and how many updates there were."""
        return {**arrays_of(**self._parts, **self._targets, **self._optimizers),
                "updates": np.array(self._updates)}

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state`."""
        set_arrays(state, source, **self._parts, **self._targets, **self._optimizers)
        self._updates = int(state["updates"])
        self.policy = np.asarray(flat(self._parts["actor"]))[None]


def smoothed(actions: Any, noise: Any, deviation: float, most: float) -> Any:
    """clip(a + clip(deviation eps, -most, most), -1, 1) (algorithm 1; section 5.3).

    Args:
        actions: (B, A) the target actor's.
        noise: (B, A) standard normal, eps.
        deviation, most: of the noise.
    """
    return ops.clip(actions + ops.clip(deviation * noise, -most, most), -1.0, 1.0)


def value_target(rewards: Any, ended: Any, gamma: float, first: Any, second: Any) -> Any:
    """r + gamma min(Q1', Q2'), and r alone where the episode ended; all (B, 1) (equation 10)."""
    return rewards + gamma * (1.0 - ended) * ops.minimum(first, second)


def averaged(old: Any, new: Any, share: float) -> Any:
    """A target's weights, of which this share stays (polyak averaging)."""
    return share * old + (1.0 - share) * new
