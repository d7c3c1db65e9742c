"""What the scores on the way are said to have taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worldmodels_repro.cli import main
from worldmodels_repro.cloud.prices import load_prices
from worldmodels_repro.config import load_config
from worldmodels_repro.report.milestones import milestones
from worldmodels_repro.run import Run
from worldmodels_repro.storage import save_csv, save_json, save_json_lines

ROOT = Path(__file__).parents[1]
QUICK = ROOT / "configs" / "quick.yaml"


def test_milestones_by_hand(tmp_path: Path) -> None:
    run = Run(tmp_path, load_config(QUICK))
    for stage, seconds in (("rollouts", 1800.0), ("vae", 1800.0), ("evolve", 0.0)):
        run.folder(stage).mkdir()
        save_json(run.folder(stage) / "stage.json", {
            "state": "done", "settings": {}, "seconds": seconds, "cores": 2,
            "facts": {"frames": 5000}})
    save_csv(run.folder("evolve") / "generations.csv", [
        {"generation": n, "steps": 1_000_000, "hours": 0.5 * n} for n in (1, 2, 3, 4)])
    save_json_lines(run.folder("evolve") / "evaluations.jsonl", [
        {"generation": n, "episodes": 10, "mean": mean, "std": 1.0, "steps": 500_000}
        for n, mean in ((2, 845.0), (4, 890.0), (9, 950.0))])
    lines = [line.split() for line in milestones(run)[1:]]
    # An hour of rollouts and V on two cores, an hour of training, a quarter of one of validation.
    assert lines[0][:4] == ["800", "2", "2,505,000", "4.50"]
    # Generation 4: two hours of training, and half an hour of two validations.
    assert lines[1][:4] == ["850", "4", "5,005,000", "7.00"]
    assert lines[2][1:] == lines[1][1:]
    assert lines[3] == ["900", "-"]  # generation 9's row is not there
    dollar = load_prices().hour("c7a.16xlarge", False) / 64
    assert lines[0][4] == f"{4.5 * dollar:.2f}"


def test_results_show_them(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "--run", str(tiny_run)]) == 0
    said = capsys.readouterr().out
    assert "core-hours" in said and any(line.split() == ["900", "-"] for line in said.splitlines())


def test_results_end_quietly_when_their_reader_leaves() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "worldmodels_repro.cli", "results", "--run",
             ROOT / "logs" / "carracing"], stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")
