"""What ``worldmodels doctor`` says."""

from __future__ import annotations

import re
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
