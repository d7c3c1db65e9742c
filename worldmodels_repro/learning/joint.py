"""A DQN that moves, and beside it a classifier that says what is there: both, or one of them,
learn from the same transitions."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.learning.dqn import DQN
from worldmodels_repro.learning.learner import arrays_of, set_arrays
from worldmodels_repro.learning.replay import Columns, Memory
from worldmodels_repro.models.classifier import as_network, classifier
from worldmodels_repro.models.network import Joint
from worldmodels_repro.models.pretraining import seed_dropout
from worldmodels_repro.models.weights import set_weights
from worldmodels_repro.sections import Classify, Learn
from worldmodels_repro.storage import Arrays


class JointLearner:
    """A :class:`learning.learner.Learner` of a :class:`Joint`.

    Args:
        network: its sizes.
        settings: the config's ``learn``.
        windows: the config's ``classify``.
        seed: of first weights.
        learnt: the classifier's weights to begin with; None for new ones.
        moves, classes: whether these are learnt, or stay as they are.
    """

    def __init__(self, network: Joint, settings: Learn, windows: Classify, seed: int,
                 learnt: Arrays | None, moves: bool, classes: bool):
        self._dqn = DQN(network.moves, settings, seed)
        self._network, self._settings, self._seed = network, settings, seed
        self._moves, self._classes = moves, classes
        self._classifier = classifier(windows)
        self._classifier.optimizer.build(self._classifier.trainable_variables)
        if learnt is not None:
            set_weights(self._classifier, learnt, "classify/weights.npz")
        self.columns = Columns(network.features, 1)
        self._renew_policy()

    def explore(self, seen: np.ndarray, step: int,
                rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """As DQN does; what is there is said as it is thought to be."""
        done, outputs = self._dqn.explore(seen[:self._network.moves.features], step, rng)
        told = self._network.act(self.policy, seen[None])[:, self._network.outputs:]
        return done, np.concatenate([outputs, told], axis=1)

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """||a - pi(s)||^2 of moves."""
        return self._dqn.scores(self._of_moves(rows))

    def update(self, memory: Memory, times: int, rng: np.random.Generator) -> float:
        """Learn from so many batches: the mean of the losses' sum."""
        losses = 0.0
        for _ in range(times):
            drawn = memory.draw(self._settings.batch, rng)
            if self._moves:
                errors, loss = self._dqn.learn(self._of_moves(drawn.rows), drawn.weights)
                memory.learnt(drawn, errors)
                losses += loss
            if self._classes:
                seen = self.columns.seen(drawn.rows)
                seed_dropout(self._classifier, self._seed, int(rng.integers(2**31)))
                logs = self._classifier.train_on_batch(
                    self._network.things(seen), self._network.truths(seen)[:, None],
                    return_dict=True)
                losses += float(logs["loss"])
        self._renew_policy()
        return losses / times

    def start_with(self, weights: np.ndarray) -> None:
        """How to move begins with these weights (n,), learnt before."""
        self._dqn.start_with(weights)
        self._renew_policy()

    def renew_target(self) -> None:
        """The target becomes the network."""
        self._dqn.renew_target()

    def state(self) -> Arrays:
        """Both networks that move, the classifier, and the optimisers."""
        return self._dqn.state() | arrays_of(classifier=self._classifier,
                                             classifier_optimizer=self._classifier.optimizer)

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state`."""
        self._dqn.restore(state, source)
        set_arrays(state, source, classifier=self._classifier,
                   classifier_optimizer=self._classifier.optimizer)
        self._renew_policy()

    def _of_moves(self, rows: np.ndarray) -> np.ndarray:
        """Transitions (B, width) -> what DQN sees of them."""
        seen = self._network.moves.features
        return np.concatenate([
            self.columns.seen(rows)[:, :seen], rows[:, self.columns.features:][:, :2],
            self.columns.following(rows)[:, :seen], rows[:, -1:]], axis=1)

    def _renew_policy(self) -> None:
        self.policy = np.concatenate([self._dqn.policy, as_network(self._classifier)[None]],
                                     axis=1)
