"""Who is told how training goes: TensorBoard, Weights & Biases, MLflow, or a tracker of one's own.

The CSVs of a stage's folder are the truth and always written; a tracker shows the same rows. A
stage that was killed does its last step again: its trackers are not told twice. What each of
them was told last stands in ``trackers.json``.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any, Protocol, cast

from worldmodels_repro.config import Config
from worldmodels_repro.errors import UserError, first_line
from worldmodels_repro.extras import missing
from worldmodels_repro.plugins import load
from worldmodels_repro.storage import load_json, save_json


class Tracker(Protocol):
    """Shows the rows of one stage.

    A ``UserError`` of ``start`` refuses the stage; one of ``log`` or ``finish`` is printed, and the
    stage goes on without this tracker.
    """

    def start(self, config: dict[str, Any]) -> None:
        """Begin, or go on with what this place's ``id`` stands for; ``config`` is the run's."""

    def log(self, values: dict[str, float], step: int, stage: str) -> None:
        """One row: numbers by name, of a step that was not logged before."""

    def finish(self) -> None:
        """All is told, for now: the stage is done or stopped."""


@dataclass(frozen=True)
class Place:
    """What a tracker is for.

    Attributes:
        run: the run folder.
        stage: whose rows they are.
        id: the same when the stage goes on, here or on another machine; another one for a stage
            that starts anew.
        begun: when the stage did and at which commit, as ``20200122113845_a549555``; empty where
            its ``stage.json`` does not say.
    """

    run: Path
    stage: str
    id: str
    begun: str = ""

    @property
    def name(self) -> str:
        """The run's."""
        return self.run.resolve().name

    @property
    def folder(self) -> Path:
        """The stage's own folder."""
        return self.run / self.stage


class TensorBoard:
    """Event files in the stage's folder, written by TensorBoard itself: no TensorFlow needed."""

    def __init__(self, place: Place):
        self._place = place
        self._proto = _package("tensorboard.compat.proto.event_pb2")
        self._summary = _package("tensorboard.compat.proto.summary_pb2").Summary
        self._files = _package("tensorboard.summary.writer.event_file_writer")
        self._begun = False

    def start(self, config: dict[str, Any]) -> None:
        """Open a new event file beside those that are there."""
        self._writer = self._files.EventFileWriter(str(self._place.folder / "tensorboard"))

    def log(self, values: dict[str, float], step: int, stage: str) -> None:
        """Scalars of this step."""
        if not self._begun:
            # Points of this step and later ones, of runs before this one, are not shown any more.
            start = self._proto.SessionLog(status=self._proto.SessionLog.START)
            self._writer.add_event(self._proto.Event(step=step, session_log=start))
            self._begun = True
        scalars = [self._summary.Value(tag=name, simple_value=value)
                   for name, value in values.items()]
        self._writer.add_event(self._proto.Event(step=step, summary=self._summary(value=scalars)))
        self._writer.flush()

    def finish(self) -> None:
        """Close the file."""
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases for each stage, in a group for each run folder.

    Its own variables say where it goes: ``WANDB_MODE=offline`` writes into the stage's folder,
    ``WANDB_PROJECT`` names the project (``worldmodels`` without it).
    """

    def __init__(self, place: Place):
        self._place = place
        self._wandb = _package("wandb")

    def start(self, config: dict[str, Any]) -> None:
        """Begin, or go on with, the run of this id."""
        place = self._place
        try:
            self._run = self._wandb.init(
                project=os.environ.get("WANDB_PROJECT", "worldmodels"), group=place.name,
                name=f"{place.name}/{place.stage}", job_type=place.stage, id=place.id,
                resume="allow", dir=str(place.folder), config=config, allow_val_change=True,
                settings=self._wandb.Settings(silent=True, console="off"))
        except self._wandb.Error as error:
            raise UserError(f"Weights & Biases does not start ({first_line(error)}): type "
                            "wandb login, or export WANDB_MODE=offline") from None

    def log(self, values: dict[str, float], step: int, stage: str) -> None:
        """One step of its history."""
        self._run.log({f"{stage}/{name}": value for name, value in values.items()}, step=step)

    def finish(self) -> None:
        """Send what is left, or write it."""
        self._run.finish()


class MLflow:
    """A run of MLflow for each stage, in an experiment for each run folder; its name says when it
    began and at which commit, its tag ``stage`` of what.

    ``MLFLOW_TRACKING_URI`` says where; without it, ``mlflow.db`` beside the run folders.
    """

    def __init__(self, place: Place):
        self._place = place
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        for name in ("sqlalchemy", "alembic"):  # what its store in a file needs
            _package(name)
        self._mlflow = _package("mlflow")
        self._entities = import_module("mlflow.entities")

    def start(self, config: dict[str, Any]) -> None:
        """Begin, or go on with, the run that carries this id."""
        place = self._place
        uri = os.environ.get("MLFLOW_TRACKING_URI",
                             f"sqlite:///{place.run.resolve().parent / 'mlflow.db'}")
        try:
            self._client = self._mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
            there = self._client.get_experiment_by_name(place.name)
            experiment = (self._client.create_experiment(place.name) if there is None
                          else there.experiment_id)
            found = self._client.search_runs([experiment], f"tags.worldmodels = '{place.id}'")
            if found:
                self._run = found[0].info.run_id
                self._client.update_run(self._run, status="RUNNING")
                return
            self._run = self._client.create_run(
                experiment, run_name=place.begun or place.stage,
                tags={"worldmodels": place.id, "stage": place.stage}).info.run_id
            self._client.log_batch(self._run, params=[
                self._entities.Param(name, str(value)) for name, value in _flat("", config)])
        except self._mlflow.MlflowException as error:
            raise UserError(f"MLflow at {uri} does not start ({first_line(error)}): set "
                            "MLFLOW_TRACKING_URI to a store that it can use") from None

    def log(self, values: dict[str, float], step: int, stage: str) -> None:
        """Metrics of this step."""
        now = int(time.time() * 1000)
        try:
            self._client.log_batch(self._run, metrics=[
                self._entities.Metric(f"{stage}/{name}", value, now, step)
                for name, value in values.items()])
        except self._mlflow.MlflowException as error:
            raise UserError(f"MLflow does not answer ({first_line(error)})") from None

    def finish(self) -> None:
        """Mark the run as ended."""
        try:
            self._client.set_terminated(self._run)
        except self._mlflow.MlflowException as error:
            raise UserError(f"MLflow does not answer ({first_line(error)})") from None


TRACKERS: dict[str, Callable[[Place], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}


class Trackers:
    """The trackers of one stage, all told the same; none is told a step twice.

    ::

        with Trackers(run.path, "vae", config) as trackers:
            trackers.log(row, epoch)

    Args:
        run: the run folder, in which the stage has begun.
        stage: the name of its folder; ``stage/part`` where it trains several models.
        config: of the run; ``config.trackers`` names who is told.

    Raises:
        UserError: a tracker is not installed, or is in a file that can't be used.
    """

    def __init__(self, run: Path, stage: str, config: Config):
        self._stage, self._config = stage, config.plain()
        self._record = run / stage / "trackers.json"
        place = Place(run, stage, _id(run, stage), _begun(run, stage))
        self._trackers = {name: _make(name, place) for name in config.trackers}
        self._told: dict[str, int] = {}

    def start(self) -> Trackers:
        """Begin, or go on after what was told before.

        Raises:
            UserError: a tracker does not start.
        """
        if self._record.exists():
            self._told = load_json(self._record, dict[str, int])
        for tracker in self._trackers.values():
            tracker.start(self._config)
        return self

    def log(self, row: Mapping[str, object], step: int) -> None:
        """Tell the numbers of a row to all who were not told of this step."""
        values = {name: float(value) for name, value in row.items()
                  if isinstance(value, (int, float)) and not isinstance(value, bool)}
        waiting = [name for name in self._trackers if self._told.get(name, -1) < step]
        if not waiting:
            return
        # Before they are told: whatever happens in between, none is told twice.
        self._told |= dict.fromkeys(waiting, step)
        save_json(self._record, self._told)
        for name in waiting:
            self._try(name, lambda tracker: tracker.log(values, step, self._stage))

    def finish(self) -> None:
        """Let the trackers go."""
        for name in list(self._trackers):
            self._try(name, lambda tracker: tracker.finish())

    def _try(self, name: str, tell: Callable[[Tracker], None]) -> None:
        try:
            tell(self._trackers[name])
        except UserError as error:
            print(f"{name}: {error}; going on without it", file=sys.stderr)
            del self._trackers[name]

    def __enter__(self) -> Trackers:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.finish()


def _make(name: str, place: Place) -> Tracker:
    if name in TRACKERS:
        return TRACKERS[name](place)
    make = load(name, "class or function that makes a tracker of a Place", (type, FunctionType))
    return cast(Callable[[Place], Tracker], make)(place)


def _id(run: Path, stage: str) -> str:
    """The same wherever a stage goes on: its ``stage.json`` travels with it."""
    started = _marker(run, stage).get("started", "")
    return hashlib.sha256(f"{run.resolve().name}/{stage}/{started}".encode()).hexdigest()[:16]


def _begun(run: Path, stage: str) -> str:
    """Year to second, and the commit where one is known."""
    marker = _marker(run, stage)
    when = "".join(letter for letter in marker.get("started", "") if letter.isdigit())
    return "_".join(filter(None, (when, marker.get("commit"))))


def _marker(run: Path, stage: str) -> dict[str, Any]:
    path = run / stage.partition("/")[0] / "stage.json"
    return load_json(path, dict) if path.exists() else {}


def _package(module: str) -> Any:
    """Import what only this tracker needs."""
    try:
        return import_module(module)
    except ImportError:
        raise missing(module) or UserError(f"{module} can't be imported") from None


def _flat(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Nested settings as (``vae.z``, value)."""
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        flat += (_flat(f"{prefix}{name}.", value) if isinstance(value, dict) and value
                 else [(f"{prefix}{name}", value)])
    return flat
