"""What ``worldmodels doctor`` says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import command


def test_it_says_what_there_is(tmp_path: Path) -> None:
    said = command("doctor", "--run", tmp_path / "runs" / "x").stdout
    for what in ("python", "versions", "machine", "disk", "mpi", "game", "encoder", "training"):
        assert re.search(rf"^{what} +\S", said, re.MULTILINE), said
    assert "MPICH" in said or "Open MPI" in said
    assert "CarRacing-v3" in said
    assert "GiB free" in said


def test_it_says_what_is_wrong_in_words(tmp_path: Path) -> None:
    result = command("doctor", "--run", tmp_path, "--remote", "s3:/bucket", OMP_NUM_THREADS="1",
                     OMPI_COMM_WORLD_SIZE="3")
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    problems = [line for line in result.stdout.splitlines() if line.startswith("PROBLEM")]
    assert any("OMP_NUM_THREADS=1" in line and "is set" in line for line in problems)
    assert any("s3://bucket/prefix" in line for line in problems)
    assert any("each is alone" in line for line in problems)
    assert result.stdout.endswith(f"{len(problems)} to mend\n")


def _doctor(tmp_path: Path, *missing: str, before: str = "") -> subprocess.CompletedProcess:
    """Its words where some packages are not installed."""
    program = ("import importlib.util, sys\n"
               "from pathlib import Path\n"
               f"missing = {missing!r}\n"
               "sys.modules.update(dict.fromkeys(missing))\n"
               "find = importlib.util.find_spec\n"
               "importlib.util.find_spec = lambda name: None if name in missing else find(name)\n"
               "from worldmodels_repro.verbs import doctor\n"
               "doctor.ENOUGH_DISK = doctor.ENOUGH_MEMORY = -8.0\n"
               f"{before}\n"
               f"sys.exit(doctor.run(Path({str(tmp_path)!r}), None))\n")
    environment = {name: value for name, value in os.environ.items()
                   if not name.endswith("_NUM_THREADS")}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env=environment)


def test_what_only_some_runs_need_is_told_and_no_problem(tmp_path: Path) -> None:
    result = _doctor(tmp_path, "vizdoom", "mpi4py", "boto3")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("nothing is wrong\n")
    for line in (r"game +VizdoomTakeCover-v1 not installed \(optional\): .*pip install",
                 r"game +CarRacing-v3$", r"mpi +not installed \(optional\): .*\[mpi\]",
                 r"s3 +not installed \(optional\): .*\[aws\]"):
        assert re.search(f"^{line}", result.stdout, re.MULTILINE), result.stdout


def test_a_game_that_is_broken_hides_no_other(tmp_path: Path) -> None:
    result = _doctor(tmp_path, "vizdoom",
                     before="import gymnasium; gymnasium.__version__ = '9.1.0'")
    assert result.returncode == 1
    problems = [line for line in result.stdout.splitlines() if line.startswith("PROBLEM")]
    assert len(problems) == 1
    assert "CarRacing-v3" in problems[0] and "gymnasium" in problems[0]
    assert "VizdoomTakeCover-v1 not installed (optional)" in result.stdout
