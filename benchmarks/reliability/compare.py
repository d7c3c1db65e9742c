"""Whether two run folders came to the same, times, dates and names aside."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

ASIDE = {"seconds", "hours", "started", "finished", "resumed", "commit", "versions", "run"}
# Pictures are drawn from the numbers that are compared; a journal says when what was typed.
IGNORED = {".png", ".svg", ".webp", ".log"}


def difference(one: Path, other: Path) -> str | None:
    """The first difference between two folders, in words; None where they are the same."""
    files, others = _files(one), _files(other)
    if files != others:
        return f"only in one of them: {sorted(files ^ others)[:3]}"
    for name in sorted(files):
        if _content(one / name) != _content(other / name):
            return name
    return None


def _files(folder: Path) -> set[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths
            if not any(part.startswith(".") or part == "tensorboard" for part in path.parts)
            and path.suffix not in IGNORED}


def _content(path: Path) -> Any:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: (arrays[name].dtype.str, arrays[name].shape, arrays[name].tobytes())
                    for name in arrays.files}
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [_timeless(row) for row in csv.DictReader(file)]
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(item) for name, item in value.items() if name not in ASIDE}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
