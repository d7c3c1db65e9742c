"""The benchmarks run and say what they must; how fast anything is, no test asks."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEYS = {"name", "value", "unit", "baseline", "baseline_what", "ratio", "details", "goal"}


def _benchmarks(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmarks", *map(str, words)], cwd=ROOT,
                          capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_quick_rows_hold_finite_figures_beside_their_baselines(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    result = _benchmarks("env", "memory_step", "generation", "collect", "worker_memory",
                         "dreams", "--quick", "--out", out)
    assert result.returncode == 0, result.stderr
    rows = {row["name"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert {"env", "env.envpool", "memory_step.16", "memory_step.64", "generation",
            "collect.brownian", "collect.network", "worker_memory",
            *(f"dreams.{row}" for precision in ("bf16", "f32") for row in (
                f"512.{precision}.plain", f"512.{precision}.vizdoom", f"256.{precision}.loop"))
            } == set(rows)
    for row in rows.values():
        assert set(row) >= KEYS
        if row["skipped"]:
            assert row["name"].endswith((".envpool", ".vizdoom"))
            continue
        names = ["value"] if row["baseline"] is None else ["value", "baseline", "ratio"]
        for name in names:
            assert math.isfinite(row[name]), row
            assert row[name] > 0, row
        assert row["unit"]
        assert bool(row["baseline_what"]) == (row["baseline"] is not None)
    assert rows["env"]["goal"]["must"] == 20.0
    assert rows["worker_memory"]["goal"]["at_most"]
    # The table shows every row; the file holds the same lines, the machine's facts first.
    assert all(f"| {name} |" in result.stderr for name in rows)
    machine, *lines = map(json.loads, out.read_text().splitlines())
    assert machine["machine"]["quick"] is True
    assert machine["machine"]["versions"]["numpy"]
    assert {line["name"]: line for line in lines} == rows


@pytest.mark.parametrize("words", [["walk"], ["--rounds", "none"]])
def test_unknown_words_are_refused(words: list[str]) -> None:
    result = _benchmarks(*words)
    assert result.returncode == 2
    assert "usage:" in result.stderr
