"""The benchmarks run and say what they must; how fast anything is, no test asks."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
KEYS = {"name", "value", "unit", "baseline", "baseline_what", "ratio", "details", "goal"}


def _benchmarks(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmarks", *map(str, words)], cwd=ROOT,
                          capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_quick_rows_hold_finite_figures_beside_their_baselines(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    result = _benchmarks("env", "memory_step", "generation", "collect", "worker_memory",
                         "dreams", "--quick", "--out", out)
    assert result.returncode == 0, result.stderr
    rows = {row["name"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert {*(f"{name}{beside}" for name in ("env", "env.64", "env.96")
              for beside in ("", ".envpool")), "memory_step.16", "memory_step.64", "generation",
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


def test_a_drift_is_the_slope_of_all_stretches() -> None:
    from benchmarks.threads import drift

    falling = [{"second": 360.0 * number, "steps_per_second": 105.0 - 1.0 * number}
               for number in range(11)]  # an hour: 105 to 95, 100 in the middle
    assert drift(falling) == pytest.approx(-0.1)
    assert drift(falling[:1]) == 0.0


@pytest.mark.slow
def test_threads_are_measured_while_a_learner_learns() -> None:
    result = subprocess.run([sys.executable, "-m", "benchmarks.threads", "1/1", "--config",
                             "testbench/CP_basic", "--minutes", "0.05", "--every", "1"], cwd=ROOT,
                            capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows and all(row["pair"] == "1/1" and row["steps_per_second"] > 0 for row in rows)
    refused = subprocess.run([sys.executable, "-m", "benchmarks.threads", "two"], cwd=ROOT,
                             capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2 and "cores/threads" in refused.stderr


@pytest.mark.slow
def test_learners_rows_are_what_estimates_look_for() -> None:
    from worldmodels_repro.cloud.rates import learn_row, pretrain_row
    from worldmodels_repro.config import load_config

    result = _benchmarks("learn_steps", "pretrain_steps", "--quick")
    assert result.returncode == 0, result.stderr
    rows = {row["name"]: row["value"] for row in map(json.loads, result.stdout.splitlines())}
    assert learn_row(load_config("testbench/LL_256_128")) in rows
    assert pretrain_row("autoencoder") in rows and min(rows.values()) > 0


@pytest.mark.slow
def test_ppo_learns_on_both_for_the_same_time() -> None:
    pytest.importorskip("stable_baselines3")
    result = subprocess.run([sys.executable, "-m", "benchmarks.ppo", "--minutes", "0.03", "--games",
                             "1", "--episodes", "1", "--n-steps", "16", "--seeds", "1"], cwd=ROOT,
                            capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert [row["learnt on"] for row in rows] == ["CarRacingFast-v0", "CarRacing-v3"]
    assert all(row["steps"] > 0 for row in rows)
    assert "| CarRacing-v3 | " in result.stderr


def test_frames_of_others_are_resized_to_the_fast_ones() -> None:
    from benchmarks.env import Resized

    class Batch:
        def step(self, action: np.ndarray) -> tuple[np.ndarray, float]:
            return np.full((1, 96, 96, 3), 7, np.uint8), 0.0

    frame = Resized(Batch()).step(np.zeros(3, np.float32))
    assert frame.shape == (64, 64, 3) and (frame == 7).all()


def test_a_yardstick_says_what_each_came_to() -> None:
    from benchmarks.yardstick import told

    assert told([]) == "not run" and told([2.0, 2.0]) == "2.0 (2.0 to 2.0, 2 seeds)"
