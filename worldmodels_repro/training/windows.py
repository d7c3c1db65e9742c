"""Courses whose units are gradient steps on windows of episodes, each drawn by its number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from worldmodels_repro.progress import Progress
from worldmodels_repro.seeds import generator
from worldmodels_repro.statistics import Means


class Drawn(Protocol):
    """Episodes that windows are drawn from."""

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Any, Any]:
        """Inputs and targets of ``size`` windows."""


class Settings(Protocol):
    """What a section says of such a course."""

    @property
    def steps(self) -> int:
        """Gradient steps."""

    @property
    def batch(self) -> int:
        """Windows a step."""

    @property
    def validate_every(self) -> int:
        """Steps between validations."""


class StepsOnWindows:
    """The part of a :class:`training.loop.Course` that such courses share.

    A run that was interrupted goes on with the same batches: a step's windows come from a generator
    that is seeded by its number.

    Args:
        settings: its section.
        training: a step's number -> what its windows are drawn from.
        seed: of every draw.

    Attributes:
        counts: the target that says which steps of a window count.
        digits: of a loss in ``history.csv``.
    """

    unit, counted = "step", (1, "steps")
    counts = "valid"
    digits = 5

    def __init__(self, settings: Settings, training: Callable[[int], Drawn], seed: int):
        self.total, self.every = settings.steps, settings.validate_every
        self._batch, self._training, self._seed = settings.batch, training, seed

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        raise NotImplementedError

    def weight(self, targets: Any) -> float:
        """How much a batch counts in the means of a round."""
        return float(targets[self.counts].sum())

    def prepared(self, inputs: Any, targets: Any, model: Any, step: int) -> Any:
        """A step's inputs as the model takes them; targets may be written over."""
        raise NotImplementedError

    def train(self, model: Any, done: int, until: int, progress: Progress) -> dict[str, Any]:
        """Gradient steps ``done`` to ``until``."""
        means, rate = Means(), 0.0
        for step in range(done, until):
            rate = self.rate(step)
            model.optimizer.learning_rate = rate
            inputs, targets = self._training(step).batch(self._batch,
                                                        generator(self._seed, step))
            logs = model.train_on_batch(self.prepared(inputs, targets, model, step), targets,
                                        return_dict=True)
            means.add(logs, self.weight(targets))
            progress.add(1, f"loss {float(logs['loss']):.4f}")
        return {"learning_rate": rate, **means.rounded(self.digits)}


class StepsOnExamples(StepsOnWindows):
    """The same of single examples, which a course draws itself; all steps at one rate."""

    digits = 6

    def __init__(self, settings: Settings, rate: float, seed: int):
        super().__init__(settings, lambda step: self, seed)
        self._rate = rate

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Any, Any]:
        """Inputs and targets of ``size`` examples."""
        raise NotImplementedError

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self._rate

    def weight(self, targets: Any) -> float:
        """Each example counts as one."""
        return float(len(targets))

    def prepared(self, inputs: Any, targets: Any, model: Any, step: int) -> Any:
        """A step's inputs; what the model leaves out comes from the step's number, too."""
        from worldmodels_repro.models.pretraining import seed_dropout

        seed_dropout(model, self._seed, step)
        return inputs
