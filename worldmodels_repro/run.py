"""A run folder: what each stage reads and writes, and whether it may.

::

    logs/<run>/
      config.yaml     the resolved settings
      rollouts/       manifest.jsonl, brownian-000000.npz ...
      vae/            weights.npz, history.csv, reconstructions/, tensorboard/
      latents/        brownian-000000.npz ...
      memory/         weights.npz, starts.npz, history.csv, tensorboard/
      evolve/         agent.npz, generations.csv, evaluations.jsonl, strategy.npz
      evaluation/     evaluation.json
      figures/        *.png, *.pdf, *.gif

Each stage's folder has a ``stage.json``: the settings it was made with, versions, git commit,
and whether it is done. Running a stage again continues it, or finds it done; settings that
would mix with what is there are refused with the keys that differ.
"""

from __future__ import annotations

import io
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from worldmodels_repro.config import Config, load_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.storage import load_json, save_json, write_atomically


@dataclass(frozen=True)
class StageSpec:
    """Which settings a stage depends on by itself, and which stages before it."""

    sections: tuple[str, ...]
    needs: tuple[str, ...] = ()


STAGES: dict[str, StageSpec] = {
    "rollouts": StageSpec(("game", "seed", "rollouts")),
    "vae": StageSpec(("vae",), ("rollouts",)),
    "latents": StageSpec((), ("vae",)),
    "memory": StageSpec(("memory",), ("latents",)),
    "evolve": StageSpec(("controller", "evolve"), ("memory",)),
    "evaluate": StageSpec(("evaluate",), ("evolve",)),
    "figures": StageSpec((), ()),
}

PACKAGES = ("tensorflow", "keras", "jax", "numpy", "gymnasium", "box2d", "vizdoom", "cma",
            "openvino", "opencv-python-headless")


class Run:
    """One run folder and the settings it is used with.

    Args:
        path: the folder, e.g. ``logs/quick``; made when the first stage begins.
        config: the settings of this call.
    """

    def __init__(self, path: Path, config: Config):
        self.path = path
        self.config = config

    def folder(self, stage: str) -> Path:
        """Where a stage writes."""
        return self.path / ("evaluation" if stage == "evaluate" else stage)

    def begin(self, stage: str) -> Path | None:
        """Start, or continue, a stage: its folder, or None if it is done already.

        Raises:
            UserError: a stage before it is not done, or the settings differ from those that
                what is there was made with.
        """
        for need in STAGES[stage].needs:
            self.require(need, stage)
        folder = self.folder(stage)
        marker = folder / "stage.json"
        if marker.exists():
            record = load_json(marker)
            if self._refuse_mixing(stage, record):
                return None
        else:
            _refuse_foreign_files(folder)
            record = {"stage": stage, "started": _now(), "seconds": 0.0}
        record |= {"settings": self.settings(stage), "state": "running", "versions": versions(),
                   "commit": git_commit(), "resumed": _now()}
        save_json(marker, record)
        self._write_config()
        return folder

    def finish(self, stage: str, seconds: float, **facts: Any) -> None:
        """Mark a stage done, adding this sitting's seconds to those before it."""
        marker = self.folder(stage) / "stage.json"
        record = load_json(marker)
        record |= {"state": "done", "finished": _now(), "facts": facts,
                   "seconds": round(record.get("seconds", 0.0) + seconds, 3)}
        save_json(marker, record)

    def require(self, stage: str, wanted_by: str) -> Path:
        """The folder of a finished stage.

        Raises:
            UserError: it is not finished, or was made with other settings.
        """
        marker = self.folder(stage) / "stage.json"
        if not marker.exists() or load_json(marker).get("state") != "done":
            raise UserError(f"'{wanted_by}' needs '{stage}' first: type "
                            f"worldmodels {stage} --run {self.path}")
        self._refuse_mixing(stage, load_json(marker))
        return self.folder(stage)

    def is_done(self, stage: str) -> bool:
        """Whether a stage has been finished (with whatever settings)."""
        marker = self.folder(stage) / "stage.json"
        return marker.exists() and load_json(marker).get("state") == "done"

    def settings(self, stage: str) -> dict[str, Any]:
        """The settings a stage and those before it depend on, flat: ``vae.z``."""
        flat: dict[str, Any] = {}
        for need in STAGES[stage].needs:
            flat |= self.settings(need)
        for section in STAGES[stage].sections:
            flat |= _flatten(section, getattr(self.config, section))
        return flat

    def _refuse_mixing(self, stage: str, record: dict[str, Any]) -> bool:
        """Whether the stage is done with exactly these settings; settings that clash raise."""
        before, now = record.get("settings", {}), self.settings(stage)
        more = _keys_of_more(stage)
        differ = [key for key in now if key in before and before[key] != now[key]]
        clash = [key for key in differ if not (key in more and _is_more(before[key], now[key]))]
        if clash:
            changes = ", ".join(f"{key}: {before[key]} there, {now[key]} here" for key in clash)
            raise UserError(f"{self.folder(stage)} was made with other settings ({changes}): "
                            f"name another --run, or remove {self.folder(stage)} to make it anew")
        return not differ and record.get("state") == "done"

    def _write_config(self) -> None:
        text = io.StringIO()
        YAML(typ="safe", pure=True).dump(self.config.plain(), text)
        data = text.getvalue().encode()
        write_atomically(self.path / "config.yaml", lambda file: file.write(data))


def open_run(config_path: Path | None, run_path: Path | None, overrides: list[str]) -> Run:
    """The run that a command line names.

    With no ``--config`` the run folder's own is used; with no ``--run`` the folder is
    ``logs/<name of the config>``.

    Raises:
        UserError: neither names a config that is there.
    """
    if config_path is None:
        if run_path is None:
            raise UserError("name a config, e.g. --config configs/quick.yaml, "
                            "or a run folder, e.g. --run logs/quick")
        config_path = run_path / "config.yaml"
        if not config_path.exists():
            raise UserError(f"{run_path} holds no run (no config.yaml): name its config with "
                            "--config, e.g. --config configs/quick.yaml")
    if run_path is None:
        run_path = Path("logs") / config_path.stem
    return Run(run_path, load_config(config_path, overrides))


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

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True,
                              check=True, timeout=10).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", str(here))
                                           else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _flatten(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, BaseModel):
        return {prefix: value}
    flat: dict[str, Any] = {}
    plain = value.model_dump(mode="json")
    for name, field in type(value).model_fields.items():
        if (field.json_schema_extra or {}) != {"resume": "speed"}:
            flat[f"{prefix}.{name}"] = plain[name]
    return flat


def _keys_of_more(stage: str) -> set[str]:
    """Keys of the stage's own sections that may grow when it is run again."""
    keys = set()
    for section in STAGES[stage].sections:
        annotation = Config.model_fields[section].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            keys |= {f"{section}.{name}" for name, field in annotation.model_fields.items()
                     if (field.json_schema_extra or {}) == {"resume": "more"}}
    return keys


def _is_more(before: Any, now: Any) -> bool:
    if isinstance(before, dict) and isinstance(now, dict):
        return all(now.get(key, 0) >= count for key, count in before.items())
    return bool(now >= before)


def _refuse_foreign_files(folder: Path) -> None:
    if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"{folder} holds files but no stage.json: it is not a stage's folder; "
                        "name another --run")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
