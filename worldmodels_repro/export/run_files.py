"""A run to hand on: what shows, plays and proves it, without what can be made again.

Left out are episodes and latents (their seeds stay), what stages would go on from, and series of
pictures. All that decides a score stays as it is, to the bit.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.run import Run, as_yaml
from worldmodels_repro.storage import load_npz, write_npz

MORE = ("README.md", "evolve/agents/*.npz", "figures/*.npz", "figures/*.png", "figures/*.webp",
        "pretrain/*/history.csv", "pretrain/*/weights.npz", "truth/*.json", "vae/ranges.npz")
DRAWN_BITS = 6  # significant ones of V's decoder, which decides no score; a half has 11


def run_files(run: Run, say: Callable[[str], object]) -> dict[str, bytes]:
    """The run's files by name. Settings that name a run by a path of this machine say logs/NAME.

    Raises:
        UserError: it has no agent, or a stage of it is not done.
    """
    stages = [stage for stage in STAGES.values()
              if stage.name != "figures" and stage.folder(run.path).exists()]
    for stage in stages:
        if not run.is_done(stage.name):
            raise UserError(f"{stage.folder(run.path)} is not done: finish it first, or remove it")
    if not {"evolve", "learn"} & {stage.name for stage in stages}:
        raise UserError(f"{run.path} has no agent to hand on: type {run.command('all')}")
    names = [f"{stage.folder(run.path).name}/{file}" for stage in stages
             for file in ("stage.json", *stage.writes)]
    paths = [*(run.path / name for name in names),
             *(path for pattern in MORE for path in sorted(run.path.glob(pattern)))]
    files = {str(path.relative_to(run.path)): path.read_bytes() for path in paths
             if path.is_file()}
    files["config.yaml"] = as_yaml(_named(run.config.plain()))
    for name in files:
        if name.endswith("/stage.json"):
            marker = json.loads(files[name])
            files[name] = _text(marker | {"settings": _named(marker["settings"])})
    if (manifest := files.get("rollouts/manifest.jsonl")) is not None:
        files["rollouts/manifest.jsonl"] = _short(manifest)
    if "vae/weights.npz" in files:
        weights = io.BytesIO()
        write_npz(weights, {name: _rounded(array) if name.startswith("decoder/") else array
                            for name, array in load_npz(run.folder("vae") / "weights.npz").items()},
                  level=9)
        files["vae/weights.npz"] = weights.getvalue()
    say(f"{run.path} is handed on without its episodes: a stage can't be gone on with there. Type "
        "worldmodels results --run FOLDER --card for its card")
    return files


def _named(settings: Any, key: str = "") -> Any:
    """Settings, nested or flat, in which an absolute path to another run is ``logs/NAME``."""
    if isinstance(settings, dict):
        return {name: _named(value, name) for name, value in settings.items()}
    if isinstance(settings, list):
        return [_named(value, key) for value in settings]
    other = key.rpartition(".")[2] in ("start", "agent", "keep")
    if other and isinstance(settings, str) and Path(settings).is_absolute():
        return f"logs/{Path(settings).name}"
    return settings


def _short(manifest: bytes) -> bytes:
    """A manifest's lines without what all of them say alike, as ``stage.json`` does."""
    rows = [json.loads(line) for line in manifest.splitlines()]
    alike = {key for key in ("environment", "renderer", "versions")
             if all(row.get(key) == rows[0].get(key) for row in rows)}
    return "".join(json.dumps({key: value for key, value in row.items() if key not in alike}) + "\n"
                   for row in rows).encode()


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _rounded(array: np.ndarray) -> np.ndarray:
    """The nearest numbers of ``DRAWN_BITS`` significant bits: the rest compresses to nothing."""
    fractions, powers = np.frexp(array.astype(np.float32))
    scale = 2.0**DRAWN_BITS
    return np.ldexp(np.round(fractions * scale) / scale, powers).astype(array.dtype)
