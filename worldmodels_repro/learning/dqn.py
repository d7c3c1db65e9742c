"""DQN: a value of each choice (Mnih et al. 2015), double (van Hasselt et al. 2016), dueling."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from worldmodels_repro.learning.explore import chosen, epsilon
from worldmodels_repro.learning.frames import FrameRing
from worldmodels_repro.learning.learner import (
    adam,
    arrays_of,
    columns_of,
    compiled,
    flat,
    set_arrays,
    stacks_of,
    whole_network,
)
from worldmodels_repro.learning.replay import Memory
from worldmodels_repro.models.keras_convolutions import unfold
from worldmodels_repro.models.network import Network
from worldmodels_repro.sections import Learn
from worldmodels_repro.storage import Arrays


class DQN:
    """A :class:`learning.learner.Learner` of a network of values.

    Args:
        network: its sizes.
        settings: the config's ``learn``.
        seed: of its first weights.
        frames: of its transitions, where it sees frames.
    """

    def __init__(self, network: Network, settings: Learn, seed: int,
                 frames: FrameRing | None = None):
        keras.utils.set_random_seed(seed)
        self._network, self._settings, self._frames = network, settings, frames
        self.columns = columns_of(network, 1)
        self._online, self._target = whole_network(network), whole_network(network)
        self._target.set_weights(self._online.get_weights())
        self._optimizer = adam(settings, self._online.trainable_variables)
        self.policy = np.asarray(flat(self._online))[None]
        rows = np.zeros((settings.batch, self.columns.width), np.float32)
        self._step = compiled(self._learn, rows, np.zeros(settings.batch, np.float32),
                              *stacks_of(frames, self.columns, rows), xla=frames is None)

    def explore(self, seen: np.ndarray, step: int,
                rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Epsilon-greedy, or by softmax: the choice's number (1,), and 1 for it (1, n)."""
        settings = self._settings
        values = self._network.act(self.policy, seen[None])[0]
        choice = chosen(values, epsilon(*settings.epsilon, settings.epsilon_steps, step),
                        settings.softmax, rng)
        return np.array([choice], np.float32), np.eye(len(values), dtype=np.float32)[[choice]]

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """||a - pi(s)||^2 of choices as unit vectors: 2 where the policy would choose another."""
        values = self._network.act(self.policy, self.columns.seen(rows))
        return np.asarray(2.0 * (values.argmax(axis=1) != self.columns.actions(rows)[:, 0]))

    def update(self, memory: Memory, times: int, rng: np.random.Generator) -> float:
        """Learn from so many batches: their mean loss."""
        losses = 0.0
        for _ in range(times):
            drawn = memory.draw(self._settings.batch, rng)
            errors, loss = self.learn(drawn.rows, drawn.weights)
            memory.learnt(drawn, errors)
            losses += loss
        return losses / times

    def learn(self, rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """Learn from a batch of transitions (B, width), which weigh (B,): |errors| (B,), loss."""
        errors, loss, policy = self._step(rows, weights,
                                          *stacks_of(self._frames, self.columns, rows))
        self.policy = policy.numpy()[None]
        return errors.numpy(), float(loss)

    def start_with(self, weights: np.ndarray) -> None:
        """The network, or its first layers, begin with these weights (n,), learnt before."""
        unfold(weights, self._online)
        self.renew_target()
        self.policy = np.asarray(flat(self._online))[None]

    def renew_target(self) -> None:
        """The target becomes the network."""
        self._target.set_weights(self._online.get_weights())

    def _learn(self, rows: Any, weights: Any, *stacks: Any) -> tuple[Any, Any, Any]:
        """A batch's |errors| (B,), its loss, and the network's weights after it.

        ``stacks``: the frames that were seen and those seen next, where that is what it sees.
        """
        seen, choices, rewards, following, ended = tf.split(rows, self.columns.sizes, axis=1)
        seen, following = stacks or (seen, following)
        choices = ops.cast(choices[:, 0], "int32")
        target = q_target(rewards[:, 0], ended[:, 0], self._settings.gamma,
                          self._online(following) if self._settings.double else None,
                          self._target(following))
        with tf.GradientTape() as tape:
            errors = of_choice(self._online(seen), choices) - target
            loss = ops.mean(weights * huber(errors))
        variables = self._online.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        return ops.abs(errors), loss, flat(self._online)

    def state(self) -> Arrays:
        """Both networks and the optimiser."""
        return arrays_of(online=self._online, target=self._target, optimizer=self._optimizer)

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state`."""
        set_arrays(state, source, online=self._online, target=self._target,
                   optimizer=self._optimizer)
        self.policy = np.asarray(flat(self._online))[None]


def q_target(rewards: Any, ended: Any, gamma: float, online: Any, target: Any) -> Any:
    """r + gamma Q'(s', argmax_a Q(s', a)), and r alone where the episode ended.

    Args:
        rewards, ended: (B,).
        gamma: the discount.
        online: (B, n) the network's values of s', which choose (double Q); None has the target's
            own choose (Mnih et al. 2015).
        target: (B, n) the target's values of s'.

    Returns:
        (B,).
    """
    best = ops.argmax(target if online is None else online, axis=1)
    return rewards + gamma * (1.0 - ended) * of_choice(target, best)


def of_choice(values: Any, choices: Any) -> Any:
    """Values (B, n) of the choices (B,), (B,)."""
    return ops.sum(values * ops.one_hot(choices, values.shape[1]), axis=1)


def huber(errors: Any) -> Any:
    """Half the square of errors (B,) below 1, then as steep as there."""
    size = ops.abs(errors)
    return ops.where(size < 1.0, 0.5 * ops.square(errors), size - 0.5)
