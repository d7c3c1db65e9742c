"""The one loop that trains: rounds, each validated, logged and checkpointed; resumed to the bit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.models.weights import load_weights, save_weights, set_weights, weights_of
from worldmodels_repro.progress import Progress
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_csv, save_csv
from worldmodels_repro.tracking import Trackers
from worldmodels_repro.training.keras import device_line, resume_training, save_training

Row = dict[str, Any]


class Course(Protocol):
    """What is learnt: how a round trains, and how it is judged.

    Attributes:
        unit: ``epoch`` or ``step``; a column of ``history.csv``.
        total: how many there are in all.
        every: how many a round has.
        counted: what progress is told in: (how many a unit has, their name).
    """

    unit: str
    total: int
    every: int
    counted: tuple[int, str]

    def train(self, model: Any, done: int, until: int, progress: Progress) -> Row:
        """Train units ``done`` to ``until``, by draws of their own; their means by name."""

    def validate(self, model: Any) -> Row:
        """Held-out figures by name; ``val_loss`` decides which weights are kept."""

    def show(self, model: Any, row: Row, best: bool) -> str:
        """After a round: keep what shall be looked at; what to say beside its losses."""


def fit(run: Run, stage: str, model: Any, course: Course, data: str,
        part: str = "") -> list[Row]:
    """Train for the units that are missing.

    After each round all that training needs is in the stage's folder: the best weights,
    ``history.csv``, the scalars that trackers show, and a checkpoint.

    Args:
        run: whose stage it is; it has begun.
        stage: its name.
        model: compiled; first it is given what the checkpoint holds.
        course: what is learnt.
        data: what it learns from, to be said at the start.
        part: which of the stage's models it is, where it has several: a folder in the stage's.

    Returns:
        The rows of ``history.csv``.
    """
    folder, name = run.folder(stage) / part, f"{stage}/{part}".rstrip("/")
    done = resume_training(folder / "training.npz", model)
    history = [row for row in load_csv(folder / "history.csv", course.unit, "val_loss")
               if row[course.unit] <= done]
    each, counted = course.counted
    with (Trackers(run.path, name, run.config) as trackers,
          Progress(name, course.total * each, counted, done * each) as progress):
        progress.say(f"{device_line()} in {model.dtype_policy.name}; {data}")
        while done < course.total:
            clock, until = time.monotonic(), min(course.total, done + course.every)
            row = {course.unit: until, **course.train(model, done, until, progress),
                   **course.validate(model), "seconds": round(time.monotonic() - clock, 2)}
            best = row["val_loss"] < min((past["val_loss"] for past in history), default=np.inf)
            history.append(row)
            said = course.show(model, row, best)
            if best:
                save_weights(folder / "weights.npz", model)
            save_csv(folder / "history.csv", history)
            save_training(folder / "training.npz", model, until)
            trackers.log(row, until)
            run.checkpoint(stage)
            progress.say(f"{course.unit} {until}: {said}")
            done = until
    return history


def start_from(model: Any, stage: str, start: str | None) -> None:
    """Give a model the weights that the stage left in another run's folder, if one is named.

    M's foresight, which is for training alone, starts anew where that run's M has none.

    Raises:
        UserError: there are none, or they do not fit.
    """
    if start is None:
        return
    path = Path(start) / stage / "weights.npz"
    weights = load_weights(path)
    if stage == "vae" and not any(name.startswith("decoder/") for name in weights):
        raise UserError(f"{path} was kept without V's decoder: make that run anew under another "
                        "--run, e.g. logs/mine, and type --set vae.start=logs/mine")
    heads = {name: array for name, array in weights_of(model).items()
             if name.startswith("foresight/")}
    rest = {name: array for name, array in weights.items()
            if name in heads or not name.startswith("foresight/")}
    set_weights(model, heads | rest, str(path))
