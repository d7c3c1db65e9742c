"""What tests of C's that learn share: the command line in this process, and what a run came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from worldmodels_repro.cli import main
from worldmodels_repro.storage import load_csv, load_json_lines, load_npz


def does(*words: object) -> None:
    """``worldmodels WORDS``, in this process: Keras is imported once for all tests."""
    assert main([str(word) for word in words]) == 0


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that refuses ``worldmodels WORDS``."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def config_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def ends(run: Path) -> list[Any]:
    """What a run came to, times aside."""
    folder = run / "learn"
    rows = load_csv(folder / "history.csv", "step", "mean")
    return [load_json_lines(folder / "episodes.jsonl", dict),
            [{key: value for key, value in row.items() if key != "seconds"} for row in rows],
            {name: array.tobytes() for name, array in load_npz(folder / "learner.npz").items()},
            load_npz(folder / "agent.npz")["weights"].tobytes()]
