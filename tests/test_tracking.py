"""Trackers: each shows a stage's rows, and a stage that goes on repeats none."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from worldmodels_repro.config import Config, check_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.plugins import load
from worldmodels_repro.storage import save_json
from worldmodels_repro.tracking import Trackers

needs_wandb = pytest.mark.skipif(find_spec("wandb") is None,
                                 reason="wandb is not installed (pip install -e '.[wandb]')")
needs_mlflow = pytest.mark.skipif(find_spec("mlflow") is None or find_spec("sqlalchemy") is None,
                                  reason="mlflow is not installed (pip install -e '.[mlflow]')")
OWN = """
class Own:
    def __init__(self, place):
        self.file = place.run / "own.txt"
        self.say("made", place.stage)
    def say(self, *words):
        with self.file.open("a") as file:
            print(*words, file=file)
    def start(self, config):
        self.say("start", config["seed"])
    def log(self, values, step, stage):
        self.say("log", values, step, stage)
    def finish(self):
        self.say("finish")
"""


def _config(*trackers: str) -> Config:
    return check_config({"trackers": list(trackers)}, "x")


def _begun(folder: Path, stage: str = "vae") -> Path:
    """A run folder in which a stage has begun."""
    save_json(folder / "run" / stage / "stage.json",
              {"started": "2018-03-27T00:00:00Z", "commit": "a549555"})
    return folder / "run"


def _sitting(run: Path, tracker: str, steps: range, killed: bool = False) -> None:
    """A process that logs these steps, and is killed before it has said that it ends."""
    program = ("import os, sys\n"
               "from pathlib import Path\n"
               "from worldmodels_repro.config import check_config\n"
               "from worldmodels_repro.tracking import Trackers\n"
               "run, tracker, first, last, killed = sys.argv[1:]\n"
               "config = check_config({'trackers': [tracker]}, 'x')\n"
               "with Trackers(Path(run), 'vae', config) as trackers:\n"
               "    for step in range(int(first), int(last)):\n"
               "        trackers.log({'epoch': step, 'loss': step / 2, 'recall': None}, step)\n"
               "    if killed == 'True':\n"
               "        os.kill(os.getpid(), 9)\n")
    result = subprocess.run(
        [sys.executable, "-c", program, run, tracker, str(steps.start), str(steps.stop),
         str(killed)], capture_output=True, text=True,
        env=os.environ | {"WANDB_MODE": "offline", "WANDB_CONFIG_DIR": str(run),
                          "WANDB_CACHE_DIR": str(run), "WANDB_DATA_DIR": str(run)})
    assert result.returncode == (-signal.SIGKILL if killed else 0), result.stderr


def _tensorboard(run: Path) -> list[tuple[int, float]]:
    events = EventAccumulator(str(run / "vae" / "tensorboard"))
    events.Reload()
    assert "recall" not in events.Tags()["scalars"]
    return [(event.step, event.value) for event in events.Scalars("loss")]


def _offline_records(data: bytes) -> Iterator[bytes]:
    """What a ``.wandb`` file holds: LevelDB's log format, after a header of 7 bytes."""
    place, whole = 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7:place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # all of a record, or the last part of one
            yield whole
            whole = b""


def _wandb(run: Path) -> list[tuple[int, float]]:
    # Its types say nothing of what this module holds.
    record_type = import_module("wandb.proto.wandb_internal_pb2").Record
    points, ids = [], set()
    for file in sorted(run.glob("vae/wandb/offline-run-*/*.wandb")):
        for data in _offline_records(file.read_bytes()):
            record = record_type.FromString(data)
            if record.HasField("run"):
                ids.add(record.run.run_id)
            if record.HasField("history"):
                items = {"/".join(item.nested_key) or item.key: json.loads(item.value_json)
                         for item in record.history.item}
                points.append((record.history.step.num, items["vae/loss"]))
    assert len(ids) == 1
    return points


def _mlflow(run: Path) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    uri = f"sqlite:///{run.parent / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name("run")
    assert experiment is not None
    (only,) = client.search_runs([experiment.experiment_id])
    assert only.data.params["vae.z"] == "32"
    assert only.info.status == "FINISHED"
    assert only.info.run_name == "20180327000000_a549555" and only.data.tags["stage"] == "vae"
    return [(point.step, point.value)
            for point in client.get_metric_history(only.info.run_id, "vae/loss")]


@pytest.mark.parametrize(("tracker", "points"), [
    ("tensorboard", _tensorboard),
    pytest.param("wandb", _wandb, marks=needs_wandb),
    pytest.param("mlflow", _mlflow, marks=needs_mlflow),
])
def test_a_resume_repeats_no_step(tmp_path: Path, tracker: str, points: Any) -> None:
    run = _begun(tmp_path)
    _sitting(run, tracker, range(1, 4))
    _sitting(run, tracker, range(3, 6))  # its checkpoint was that of step 2
    assert points(run) == [(step, step / 2) for step in range(1, 6)]


@pytest.mark.slow  # whole trainings, killed
@pytest.mark.parametrize(("tracker", "points"), [
    ("tensorboard", _tensorboard), pytest.param("mlflow", _mlflow, marks=needs_mlflow)])
def test_a_resume_after_a_kill_repeats_no_step(tmp_path: Path, tracker: str, points: Any) -> None:
    run = _begun(tmp_path)
    _sitting(run, tracker, range(1, 4), killed=True)
    _sitting(run, tracker, range(3, 6))
    assert points(run) == [(step, step / 2) for step in range(1, 6)]


def test_tensorboard_forgets_steps_that_are_told_anew(tmp_path: Path) -> None:
    run = _begun(tmp_path)
    for values in ({1: 5.0, 2: 6.0, 3: 7.0}, {2: 8.0}):
        with Trackers(run, "vae", _config("tensorboard")) as trackers:
            for step, value in values.items():
                trackers.log({"loss": value}, step)
        (run / "vae" / "trackers.json").unlink()  # as after a sitting of an older version
        time.sleep(1.1)  # their order is that of the seconds in the files' names
    assert _tensorboard(run) == [(1, 5.0), (2, 8.0)]


def test_a_tracker_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    run = _begun(tmp_path, "evolve")
    for first, last in ((1, 3), (2, 4)):
        with Trackers(run, "evolve", _config(f"{tmp_path}/own.py:Own")) as trackers:
            for step in range(first, last):
                trackers.log({"best": 2, "note": "x", "none": None, "ok": True}, step)
    assert (run / "own.txt").read_text().splitlines() == [
        "made evolve", "start 1", "log {'best': 2.0} 1 evolve", "log {'best': 2.0} 2 evolve",
        "finish", "made evolve", "start 1", "log {'best': 2.0} 3 evolve", "finish"]


def test_a_tracker_that_fails_on_the_way_ends_no_stage(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.py").write_text(OWN + (
        "from worldmodels_repro.errors import UserError\n"
        "class Full(Own):\n"
        "    def log(self, values, step, stage):\n"
        "        raise UserError('the store is full')\n"))
    full, own = f"{tmp_path}/own.py:Full", f"{tmp_path}/own.py:Own"
    run = _begun(tmp_path)
    with Trackers(run, "vae", _config(full, own)) as trackers:
        for step in (1, 2):
            trackers.log({"loss": 1.0}, step)
    assert capsys.readouterr().err == f"{full}: the store is full; going on without it\n"
    assert (run / "own.txt").read_text().count("log") == 2


@pytest.mark.parametrize(("tracker", "package"), [
    ("wandb", "wandb"), ("mlflow", "mlflow"), ("mlflow", "sqlalchemy")])
def test_a_tracker_that_is_not_installed_says_what_to_install(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str, package: str) -> None:
    if package == "mlflow" and find_spec("sqlalchemy") is None:
        pytest.skip("what it needs beside is not installed either")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as raised:
        Trackers(_begun(tmp_path), "vae", _config(tracker))
    said = str(raised.value)
    assert f"{package} is not installed: type " in said and f"[{tracker}]" in said
    assert "\n" not in said


@pytest.mark.parametrize(("text", "words"), [
    (None, "there is no file"),
    ("x = 1\n", "has no Own"),
    ("\nimport nonsense\n", "line 2: ModuleNotFoundError"),
    ("x = 1\ndef f(:\n", "line 2: SyntaxError"),
    ("raise SystemExit(3)", "line 1: SystemExit (3)"),
    ("Own = 3", "is of type int, no class"),
])
def test_a_file_that_holds_no_tracker_is_refused(tmp_path: Path, text: str | None,
                                                 words: str) -> None:
    if text is not None:
        (tmp_path / "own.py").write_text(text)
    with pytest.raises(UserError) as raised:
        Trackers(_begun(tmp_path), "vae", _config(f"{tmp_path}/own.py:Own"))
    assert words in str(raised.value) and "\n" not in str(raised.value)
    assert str(tmp_path / "own.py") in str(raised.value)


def test_a_name_without_a_file_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            ) -> None:
    (tmp_path / "antigravity.py").write_text("open('sprung', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("antigravity", "antigravity:x", "antigravity.py", "antigravity.py:", "a.b:c"):
        with pytest.raises(UserError, match=r"path/to/file\.py:NAME"):
            load(name, "tracker", object)
    assert not (tmp_path / "sprung").exists()


def test_a_file_is_run_once(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import dataclasses\n"
                                     "@dataclasses.dataclass\n"
                                     "class Own:\n"
                                     "    x: 'int'\n")
    assert (load(f"{tmp_path}/own.py:Own", "game", type)
            is load(f"{tmp_path}/own.py:Own", "game", type))
