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
from worldmodels_repro.learning.frames import FrameRing
from worldmodels_repro.learning.learner import (
    adam,
    arrays_of,
    columns_of,
    compiled,
    flat,
    keras_encoder,
    keras_network,
    set_arrays,
    stacks_of,
)
from worldmodels_repro.learning.replay import Memory
from worldmodels_repro.models.keras_convolutions import unfold
from worldmodels_repro.models.network import Network
from worldmodels_repro.sections import Learn
from worldmodels_repro.storage import Arrays

BLOCK = 50  # updates in one call: fewer are done one by one

Model = Callable[[Any], Any]


class TD3:
    """A :class:`learning.learner.Learner` of a network of actions in [-1, 1].

    Where it sees frames, the critics' loss teaches what sees them; the actor acts on that as it is.

    Args:
        network: its sizes; the critics have the same layers between.
        settings: the config's ``learn``.
        seed: of its first weights.
        frames: of its transitions, where it sees frames.
        transition: features and action (B, F + A) -> the features to come (B, F), as learnt
            before; for critics that are told of them (``learn.next``).
    """

    def __init__(self, network: Network, settings: Learn, seed: int,
                 frames: FrameRing | None = None, transition: Model | None = None):
        keras.utils.set_random_seed(seed)
        self._network, self._settings, self._frames = network, settings, frames
        self._transition = transition
        self.columns = columns_of(network, network.outputs)
        self._parts = self._networks()
        self._targets = {f"target_{name}": model for name, model in self._networks().items()}
        self._renew_targets(0.0)
        critics = [variable for name, model in self._parts.items() if name != "actor"
                   for variable in model.trainable_variables]
        self._optimizers = {
            "actor_optimizer": adam(settings, self._parts["actor"].trainable_variables),
            "critics_optimizer": adam(settings, critics)}
        self._critics = critics
        self._updates = 0
        self._programs: dict[int, Callable[..., Any]] = {}  # by updates in a call
        self.policy = self._policy().numpy()[None]

    def _networks(self) -> dict[str, Any]:
        """An actor, two critics, and what sees frames for all of them where that is to be seen."""
        network, settings = self._network, self._settings
        here = network.features + network.outputs
        then = 0 if settings.next == "none" else settings.ahead * network.features
        late = then if settings.next == "late" else 0
        critic = replace(network, encoder=None, outputs=1, kind="values",
                         features=then if settings.next == "alone" else here + then - late)
        parts = {"actor": keras_network(network), "first": keras_network(critic, late),
                 "second": keras_network(critic, late)}
        return parts if network.encoder is None else parts | {"encoder": keras_encoder(network)}

    def _policy(self) -> Any:
        """The weights (n,) of the network that acts."""
        return flat(*(self._parts[name] for name in ("encoder", "actor") if name in self._parts))

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
        losses, left, alone = 0.0, times, self._frames is not None  # a block's frames are many
        while left:
            count = BLOCK if left >= BLOCK and not alone else 1
            rows = np.stack([memory.draw(self._settings.batch, rng).rows for _ in range(count)])
            noise = rng.standard_normal((*rows.shape[:2], self._network.outputs), np.float32)
            given = (rows, noise, np.asarray(self._updates, np.int32),
                     *stacks_of(self._frames, self.columns, rows[0]))
            if count not in self._programs:
                self._programs[count] = compiled(self._learn, *given, xla=not alone)
            loss, weights = self._programs[count](*given)
            self._updates += count
            losses += float(loss)
            left -= count
        self.policy = weights.numpy()[None]
        return losses / times

    def _learn(self, batches: Any, noise: Any, before: Any, *stacks: Any) -> tuple[Any, Any]:
        """Updates by batches (k, B, width) with noise (k, B, A); losses' sum, the actor's weights.

        ``before``: updates before these. ``stacks``: the frames that were seen in the one batch
        there is and those seen next, where that is what it sees.
        """
        losses = tf.zeros(())
        for number in tf.range(tf.shape(batches)[0]):
            seen, actions, rewards, following, ended = tf.split(
                batches[number], self.columns.sizes, axis=1)
            seen, following = stacks or (seen, following)
            losses += self._learn_values(seen, actions, rewards, following, ended, noise[number])
            if (before + number + 1) % self._settings.policy_every == 0:
                self._learn_policy(seen)
        return losses, self._policy()

    def _learn_values(self, seen: Any, actions: Any, rewards: Any, following: Any, ended: Any,
                      noise: Any) -> Any:
        settings, targets = self._settings, self._targets
        following = _features(targets.get("target_encoder"), following)
        act = targets["target_actor"]
        then = self._told(following, smoothed(act(following), noise, settings.target_noise,
                                              settings.target_clip), act)
        target = value_target(rewards, ended, settings.gamma, targets["target_first"](then),
                              targets["target_second"](then))  # (B, 1)
        with tf.GradientTape() as tape:
            now = self._told(_features(self._parts.get("encoder"), seen), actions,
                             self._parts["actor"])
            loss = sum(ops.mean(ops.square(self._parts[name](now) - target))
                       for name in ("first", "second"))
        self._optimizers["critics_optimizer"].apply(tape.gradient(loss, self._critics),
                                                    self._critics)
        return loss

    def _learn_policy(self, seen: Any) -> None:
        actor, seen = self._parts["actor"], _features(self._parts.get("encoder"), seen)
        with tf.GradientTape() as tape:
            value = self._parts["first"](self._told(seen, actor(seen), actor))
            loss = -ops.mean(value)
        variables = actor.trainable_variables
        self._optimizers["actor_optimizer"].apply(tape.gradient(loss, variables), variables)
        self._renew_targets(self._settings.polyak)

    def _told(self, features: Any, actions: Any, act: Model) -> Any:
        """What a critic is told of features (B, F) and actions (B, A): both; what the transition
        network makes of them, and of what the policy does then; or all."""
        here = ops.concatenate([features, actions], axis=1)
        if self._transition is None:
            return here
        ahead = [self._transition(here)]
        while len(ahead) < self._settings.ahead:
            ahead.append(self._transition(ops.concatenate([ahead[-1], act(ahead[-1])], axis=1)))
        return ops.concatenate(ahead if self._settings.next == "alone" else [here, *ahead], axis=1)

    def _renew_targets(self, share: float) -> None:
        """Each target keeps this share of itself."""
        for name, model in self._parts.items():
            target = self._targets[f"target_{name}"]
            for new, old in zip(model.trainable_variables, target.trainable_variables, strict=True):
                old.assign(averaged(old, new, share))

    def start_with(self, weights: np.ndarray) -> None:
        """What sees frames begins with these weights (n,), which were learnt before."""
        unfold(weights, self._parts["encoder"])
        self._renew_targets(0.0)
        self.policy = self._policy().numpy()[None]

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
        self.policy = self._policy().numpy()[None]


def _features(encoder: Model | None, seen: Any) -> Any:
    """What is seen, by the encoder if there is one."""
    return seen if encoder is None else encoder(seen)


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
