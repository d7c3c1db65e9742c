"""Stage 2 of a run on maps: a network learns which class of things a window shows.

A step's windows come from a generator that is seeded by its number, so a run that was interrupted
goes on with the same ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from worldmodels_repro.data.balance import class_weights
from worldmodels_repro.data.windows import Windows
from worldmodels_repro.envs.detector_maps import CLASSES
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.progress import Progress
from worldmodels_repro.run import Run
from worldmodels_repro.sections import Classify
from worldmodels_repro.seeds import episode_seed, generator
from worldmodels_repro.training.quiet import import_keras_quietly
from worldmodels_repro.training.windows import StepsOnExamples


def run(stage_run: Run) -> None:
    """Train the network for the epochs that are missing."""
    config, settings = stage_run.config, stage_run.config.classify
    game = game_named(config.game)
    if game.maps is None:
        raise UserError(f"{game.name} is not played on maps: set game=detector_joint")
    maps = game.maps()
    first, more = settings.maps
    if first + more > len(maps):
        raise UserError(f"there are {len(maps)} maps, classify.maps asks for {first + more}: "
                        "lower it, e.g. --set classify.maps=[8,2]")
    if stage_run.begin("classify") is None:
        return
    training, held_out = (
        Windows(maps, numbers, settings.window, settings.output, settings.neighbours)
        for numbers in (range(first), range(first, first + more)))

    # Keras takes seconds to import: after everything that can be refused.
    import_keras_quietly()
    import keras

    from worldmodels_repro.models.classifier import classifier
    from worldmodels_repro.training.loop import fit

    seed = episode_seed(config.seed, "models", 10)
    keras.utils.set_random_seed(seed)
    model, course = classifier(settings), Course(settings, training, held_out, seed)
    history = fit(stage_run, "classify", model, course,
                  f"{model.count_params()} weights, {len(training)} windows of {first} maps, "
                  f"classes weigh {np.round(course.weights.mean(axis=0), 2).tolist()}")
    kept = min(history, key=lambda row: row["val_loss"])
    stage_run.finish("classify", parameters=model.count_params(), windows=len(training),
                     weights=course.weights.mean(axis=0).round(4).tolist(),
                     **{name: value for name, value in kept.items() if name.startswith("val_")})


class Course(StepsOnExamples):
    """A :class:`training.loop.Course` of windows; a round ends with a validation.

    Attributes:
        weights: (M, 3) of each class in each training map.
    """

    def __init__(self, settings: Classify, training: Windows, held_out: Windows, seed: int):
        super().__init__(settings, settings.learning_rate, seed)
        self._windows = training
        self.weights = class_weights(training.counts, settings.balance, settings.squared)
        rng = generator(seed)
        self._validation = [held_out.drawn(settings.batch, rng)[:2]
                            for _ in range(settings.validation_steps)]

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Any, Any]:
        """``size`` windows, and one of 3 for each pixel told, times its weight."""
        seen, truth, number = self._windows.drawn(size, rng)
        return seen, np.eye(len(CLASSES), dtype=np.float32)[truth] * np.take_along_axis(
            self.weights[number], truth, axis=1)[..., None]

    def train(self, model: Any, done: int, until: int, progress: Progress) -> dict[str, Any]:
        """Gradient steps ``done`` to ``until``.

        Raises:
            UserError: the loss is no number any more.
        """
        row = super().train(model, done, until, progress)
        if not np.isfinite(row["loss"]):
            raise UserError(f"the loss is {row['loss']} by step {until}: set "
                            "classify.normalise=true (batch normalisation) or lower "
                            "classify.learning_rate, and name another --run")
        return row

    def validate(self, model: Any) -> dict[str, Any]:
        """Of held-out windows the loss, with each class's mean weight, the share that is right,
        and of each class the share that is found."""
        weights = self.weights.mean(axis=0)
        losses, found = [], np.zeros((len(CLASSES), len(CLASSES)), int)  # [truth, told]
        for seen, truth in self._validation:
            logits = np.asarray(model(seen, training=False))
            likely = logits - logits.max(axis=-1, keepdims=True)
            likely = likely - np.log(np.exp(likely).sum(axis=-1, keepdims=True))
            losses.append(-np.mean(weights[truth] * np.take_along_axis(
                likely, truth[..., None], axis=-1)[..., 0]))
            np.add.at(found, (truth, logits.argmax(axis=-1)), 1)
        return {"val_loss": round(float(np.mean(losses)), 6),
                "val_accuracy": round(float(np.trace(found) / found.sum()), 6),
                **{f"val_recall_{name}": round(float(row[kind] / max(1, row.sum())), 6)
                   for kind, (name, row) in enumerate(zip(CLASSES, found, strict=True))}}

    def show(self, model: Any, row: dict[str, Any], best: bool) -> str:
        """The figures in words."""
        recalls = ", ".join(f"{name} {row[f'val_recall_{name}']:.3f}" for name in CLASSES)
        return (f"loss {row['loss']:.4f}, held-out {row['val_loss']:.4f}, right "
                f"{row['val_accuracy']:.3f} ({recalls})")
