"""A run folder: what each stage reads and writes, and whether it may.

::

    logs/<run>/
      config.yaml     the resolved settings
      rollouts/       manifest.jsonl, brownian-000000.npz ...
      vae/            weights.npz, history.csv, reconstructions/, tensorboard/
      latents/        brownian-000000.npz ...
      memory/         weights.npz, starts.npz, history.csv, tensorboard/
      evolve/         agent.npz, generations.csv, evaluations.jsonl, strategy.npz
      learn/          agent.npz, history.csv, episodes.jsonl, learner.npz, memory/ (or evolve/)
      evaluate/       evaluation.json
      figures/        *.png, *.webp
      forward/        weights.npz, programs.npz, contexts.npz, history.csv
      classify/       weights.npz, history.csv

Each stage's folder has a ``stage.json``: the settings it was made with, versions, git commit,
and whether it is done. Running a stage again continues it, or finds it done; settings that
would mix with what is there are refused with the keys that differ. A setting that is newer than
what is there had its default then.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from worldmodels_repro.config import Config, load_config
from worldmodels_repro.cores import usable_cores
from worldmodels_repro.errors import UserError
from worldmodels_repro.pipeline import STAGES, folder_names
from worldmodels_repro.progress import say
from worldmodels_repro.records import Marker
from worldmodels_repro.resources import in_checkout
from worldmodels_repro.storage import has_checkpoint, hold, load_json, save_json, write_atomically

if TYPE_CHECKING:
    from worldmodels_repro.remote.mirror import Mirror


PACKAGES = ("tensorflow", "keras", "jax", "numpy", "gymnasium", "box2d", "vizdoom", "cma",
            "openvino", "opencv-python-headless")
# What stages go on from: with one of these a folder is worth more than its stage.json.
CHECKPOINTS = ("manifest.jsonl", "training.npz", "strategy.npz", "learner.npz", "episodes.jsonl")
TIME = "%Y-%m-%dT%H:%M:%SZ"
MIRRORED = 15.0  # seconds between mirrorings, for stages that finish a file at a time


class Run:
    """One run folder and the settings it is used with.

    Args:
        path: the folder, e.g. ``logs/quick``; made when the first stage begins.
        config: the settings of this call.
        mirror: its copy in S3, if any.
        given: the words of the command line that name the run and its settings, for advice;
            by default the folder.
    """

    def __init__(self, path: Path, config: Config, mirror: Mirror | None = None,
                 given: tuple[str, ...] = ()):
        self.path = path
        self.config = config
        self.mirror = mirror
        self._given = given or ("--run", str(path))
        self._begun: str | None = None
        self._counted = self._checkpointed = 0.0

    def folder(self, stage: str) -> Path:
        """Where a stage writes."""
        return STAGES[stage].folder(self.path)

    def command(self, verb: str) -> str:
        """What to type to have a verb work on this run, settings and folder as they were given."""
        return shlex.join(["worldmodels", verb, *self._given])

    def begin(self, stage: str) -> Path | None:
        """Start, or continue, a stage: its folder, or None if it is done already.

        Raises:
            UserError: a stage before it is not done, or the settings differ from those that
                what is there was made with.
        """
        if not STAGES[stage].itself(self.config):
            for need in _needs(self.config, stage):
                self.require(need, stage)
        folder = self.folder(stage)
        marker = folder / "stage.json"
        if marker.exists():
            there = load_marker(folder)
            if self._refuse_mixing(stage, there["settings"], there["state"]):
                self.checkpoint(stage)  # finished without its mirror, it may go there now
                say(f"{stage}: done already{_when(there)}, nothing to do")
                return None
            record = dict(there)
        elif _has_work(folder) and (own := self.path / "config.yaml").exists():
            # A stage.json that was damaged, and taken away as load_marker says.
            self._refuse_mixing(stage, _settings(load_config(own), stage), "running")
            record = {"stage": stage, "started": _now(), "seconds": 0.0}
        else:
            _refuse_foreign_files(folder)
            folder.mkdir(parents=True, exist_ok=True)
            record = {"stage": stage, "started": _now(), "seconds": 0.0}
        record |= {"settings": self.settings(stage), "state": "running", "versions": versions(),
                   "commit": git_commit(), "cores": usable_cores(), "resumed": _now()}
        self._held = hold(folder / ".lock", f"{stage} on {self.path}")
        save_json(marker, record)
        self._write_config()
        self.checkpoint(stage)
        self._begun, self._counted = stage, time.monotonic()
        return folder

    def checkpoint(self, stage: str, every: float = 0.0) -> None:
        """Say that what is on disk can be gone on from.

        The stage's seconds so far are written down, and a mirrored run is mirrored.
        ``every``: not if the last time was fewer seconds ago.
        """
        if time.monotonic() - self._checkpointed < every:
            return
        self._checkpointed = time.monotonic()
        if stage == self._begun:
            save_json(self.folder(stage) / "stage.json", self._counted_marker(stage))
        if self.mirror is not None:
            self.mirror.checkpoint(self.folder(stage).name)

    def finish(self, stage: str, **facts: Any) -> None:
        """Mark a stage done, with what it came to."""
        save_json(self.folder(stage) / "stage.json", self._counted_marker(stage) | {
            "state": "done", "finished": _now(), "facts": facts})
        self._begun = None
        self.checkpoint(stage)

    def _counted_marker(self, stage: str) -> dict[str, Any]:
        """The stage's marker, this sitting's seconds added to those before it."""
        marker = load_marker(self.folder(stage))
        since, self._counted = self._counted, time.monotonic()
        return {**marker, "seconds": round(marker["seconds"] + self._counted - since, 3)}

    def require(self, stage: str, wanted_by: str) -> Path:
        """The folder of a finished stage.

        Raises:
            UserError: it is not finished, or was made with other settings.
        """
        if not self.is_done(stage):
            raise UserError(f"'{wanted_by}' needs '{stage}' first: type "
                            + self.command(stage))
        self._refuse_mixing(stage, load_marker(self.folder(stage))["settings"], "done")
        return self.folder(stage)

    def borrow(self, outer: Run, *stages: str) -> None:
        """Use another run's folders as if they were its own: relative links, which copies keep."""
        for stage in (stage for stage in stages if STAGES[stage].belongs(self.config)):
            link = self.folder(stage)
            if not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(os.path.relpath(outer.folder(stage), link.parent),
                                target_is_directory=True)

    def is_done(self, stage: str) -> bool:
        """Whether a stage has been finished (with whatever settings)."""
        folder = self.folder(stage)
        return (folder / "stage.json").exists() and load_marker(folder)["state"] == "done"

    def settings(self, stage: str) -> dict[str, Any]:
        """The settings a stage and those before it depend on, flat: ``vae.z``."""
        return _settings(self.config, stage)

    def _refuse_mixing(self, stage: str, there: Mapping[str, Any], state: str) -> bool:
        """Whether the stage is done with exactly these settings; settings that clash raise."""
        before, now = {**_settings(Config(), stage, self.config), **there}, self.settings(stage)
        more, end = _own_keys(stage, "more"), _own_keys(stage, "end")
        free = end if state == "running" else set()
        differ = [key for key in now if before[key] != now[key]]
        clash = [key for key in differ if key not in free
                 and not (key in more | end and _is_more(before[key], now[key]))]
        if clash:
            changes = ", ".join(f"{key}: {before[key]} there, {now[key]} here" for key in clash)
            raise UserError(f"{self.folder(stage)} was made with other settings ({changes}): "
                            f"name another --run, or remove {self.folder(stage)} to make it anew")
        return not differ and state == "done"

    def _write_config(self) -> None:
        data = as_yaml(self.config.plain())
        write_atomically(self.path / "config.yaml", lambda file: file.write(data))


def open_run(config_path: str | Path | None, run_path: Path | None, overrides: list[str],
             stage: str = "", remote: str | None = None) -> Run:
    """The run that a command line names.

    With no ``--config`` the run folder's own is used; with no ``--run`` the folder is
    ``logs/<name of the config>``. A run that is mirrored to S3 is first brought to what is
    there, as far as the stage needs it.

    Raises:
        UserError: neither names a config that is there, or S3 refuses.
    """
    if config_path is None and run_path is None:
        raise UserError("name a config, e.g. --config quick, "
                        "or a run folder, e.g. --run logs/quick")
    options = [("--config", config_path), ("--run", run_path), ("--remote", remote),
               *(("--set", override) for override in overrides)]
    given = tuple(word for name, value in options if value is not None
                  for word in (name, str(value)))
    if run_path is None:
        assert config_path is not None
        run_path = Path("logs") / Path(config_path).stem
    own = run_path / "config.yaml"
    if remote is None and (config_path or own.exists()):
        remote = load_config(config_path or own, overrides).remote
    mirror = _mirrored(run_path, remote, stage) if remote and stage in STAGES else None
    try:
        if config_path is None and not own.exists():
            raise UserError(f"{run_path} holds no run (no config.yaml): name its config with "
                            "--config, e.g. --config quick")
        config = load_config(config_path or own, overrides)
        if config.passes:
            raise UserError(f"{config_path} is a recipe of {len(config.passes)} passes: type "
                            f"worldmodels all {config_path}, or name one of its runs, e.g. --run "
                            f"{run_path}/pass-1")
        if remote:
            config = config.model_copy(update={"remote": remote})
        return Run(run_path, config, mirror, given)
    except BaseException:
        if mirror is not None:
            mirror.close(patience=10.0)
        raise


def load_run(folder: Path) -> Run:
    """A run that is there, with its own settings.

    Raises:
        UserError: the folder holds none.
    """
    own = folder / "config.yaml"
    if not own.exists():
        raise UserError(f"{folder} holds no run (no config.yaml): name a run folder, "
                        "e.g. logs/carracing")
    return Run(folder, load_config(own))


def _mirrored(run_path: Path, remote: str, stage: str) -> Mirror:
    from worldmodels_repro.remote.mirror import Mirror  # boto3 is slow to import

    mirror = Mirror(run_path, remote)
    mirror.pull(folder_names((*STAGES[stage].reads, stage)))
    return mirror


def load_marker(folder: Path) -> Marker:
    """A stage's ``stage.json``.

    Raises:
        UserError: missing or damaged; how to go on where the stage's work is there all the same.
    """
    marker = folder / "stage.json"
    try:
        return load_json(marker, Marker)
    except UserError:
        if not (marker.exists() and _has_work(folder)):
            raise
        raise UserError(f"{marker} is damaged: restore it, or remove this one file and run its "
                        f"stage again, which goes on from what is in {folder} with the settings "
                        f"of {folder.parent / 'config.yaml'}") from None


def _has_work(folder: Path) -> bool:
    # A stage of several models has a folder for each.
    return any(has_checkpoint(place / name) for place in (folder, *folder.glob("*/"))
               for name in CHECKPOINTS)


def as_yaml(settings: Mapping[str, Any]) -> bytes:
    """Resolved settings as ``config.yaml`` has them."""
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(settings, text)
    return text.getvalue().encode()


def versions() -> dict[str, str]:
    """Versions of what decides results."""
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit this package's source is at, with a ``+`` if files differ; None outside git."""
    here = Path(__file__).parent
    if not in_checkout():  # another project's, if any
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True,
                              check=True, timeout=10).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", str(here))
                                           else "")
    except (OSError, subprocess.SubprocessError):
        return None


def stages_of(config: Config) -> list[str]:
    """The stages that a run of this config has, in order."""
    return [name for name, stage in STAGES.items() if stage.belongs(config)]


def _needs(config: Config, stage: str) -> list[str]:
    """The stages before it whose settings count, in a run of this config."""
    row = STAGES[stage]
    return [need for need in row.needs if row.itself(config) or STAGES[need].belongs(config)]


def _settings(config: Config, stage: str, run: Config | None = None) -> dict[str, Any]:
    """``config``'s settings for a stage and those before it, as a run of ``run`` has them."""
    flat: dict[str, Any] = {}
    for need in _needs(run or config, stage):
        flat |= _settings(config, need, run)
    for section in STAGES[stage].sections:
        flat |= _flatten(section, getattr(config, section))
    return flat


def _flatten(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, BaseModel):
        return {prefix: value}
    flat: dict[str, Any] = {}
    plain = value.model_dump(mode="json")
    for name, field in type(value).model_fields.items():
        if (field.json_schema_extra or {}) != {"resume": "speed"}:
            flat[f"{prefix}.{name}"] = plain[name]
    return flat


def _own_keys(stage: str, resume: str) -> set[str]:
    """Keys of the stage's own sections that may differ in this way when it is run again."""
    keys = set()
    for section in STAGES[stage].sections:
        annotation = Config.model_fields[section].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            keys |= {f"{section}.{name}" for name, field in annotation.model_fields.items()
                     if (field.json_schema_extra or {}) == {"resume": resume}}
    return keys


def _is_more(before: Any, now: Any) -> bool:
    if isinstance(before, dict) and isinstance(now, dict):
        return all(now.get(key, 0) >= count for key, count in before.items())
    if before is None or now is None:  # None is no limit
        return now is None
    return bool(now >= before)


def _refuse_foreign_files(folder: Path) -> None:
    if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"{folder} holds files but no stage.json: it is not a stage's folder; "
                        "name another --run")


def _when(record: Mapping[str, Any]) -> str:
    """When a stage was finished, for a reader; empty where its marker does not say."""
    try:
        finished = time.strptime(record["finished"], TIME)
    except (KeyError, TypeError, ValueError):
        return ""
    return time.strftime(", %d %b %Y %H:%M UTC", finished)


def _now() -> str:
    return time.strftime(TIME, time.gmtime())
