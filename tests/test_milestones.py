"""What the scores on the way are said to have taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from worldmodels_repro.cli import main
from worldmodels_repro.cloud.bill import core_hour
from worldmodels_repro.cloud.prices import load_prices
from worldmodels_repro.config import load_config
from worldmodels_repro.report.milestones import table, text
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_json, save_csv, save_json, save_json_lines

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
    rows = table(run)
    # An hour of rollouts and V on two cores, an hour of training, a quarter of one of validation.
    assert rows[0] == {"score": 800.0, "generation": 2, "steps": 2_505_000, "core_hours": 4.5}
    # Generation 4: two hours of training, and half an hour of two validations.
    assert (rows[1]["generation"], rows[1]["steps"], rows[1]["core_hours"]) == (4, 5_005_000, 7.0)
    assert rows[2] == rows[1] | {"score": 880.0}
    # Generation 9's row is not there.
    assert rows[3] == {"score": 900.0, "generation": None, "steps": None, "core_hours": None}
    twice = table(Run(tmp_path, load_config(QUICK, ["game=car_racing@2"])))
    assert [row["steps"] for row in twice] == [5_010_000, 10_010_000, 10_010_000, None]
    dollar, _ = core_hour(load_prices())
    assert dollar == load_prices().hour("c7a.16xlarge", False) / 64
    lines = [line.split() for line in text(rows, "real", dollar, "a machine").splitlines()[1:]]
    assert lines[0] == ["800", "2", "2,505,000", "4.50", f"{4.5 * dollar:.2f}"]
    assert lines[3] == ["900", "-"]


def test_results_show_them(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "--run", str(tiny_run)]) == 0
    said = capsys.readouterr().out
    assert "core-hours" in said and any(line.split() == ["900", "-"] for line in said.splitlines())


def test_prices_are_a_column_for_those_who_ask(tiny_run: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "--run", str(tiny_run)]) == 0
    assert "$" not in (said := capsys.readouterr().out) and "dollars" not in said
    assert main(["results", "--run", str(tiny_run), "--prices"]) == 0
    said = capsys.readouterr().out
    assert "dollars   at $" in said and "if its stages had taken as long" in said


def test_results_as_json_are_those_of_the_tables(tiny_run: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "--run", str(tiny_run), "--json", "--prices"]) == 0
    told = json.loads(capsys.readouterr().out)
    judged = load_json(tiny_run / "evaluate" / "evaluation.json", dict)
    assert told["results"] == judged["results"] and "episodes" not in told
    spent = {row["stage"]: row["spent"] for row in told["stages"]}
    assert spent["rollouts"]["episodes"] == 6
    assert spent["vae"]["epochs"] == 2 and spent["memory"]["gradient steps"] == 6
    assert spent["evolve"]["generations"] == 4
    assert spent["evaluate"] == {
        "episodes": 4, "steps of the game": sum(
            row["steps"] for rows in judged["episodes"].values() for row in rows)}
    assert [row["score"] for row in told["milestones"]] == [800, 850, 880, 900]
    assert [row["stage"] for row in told["bill"]] == list(spent)


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
