"""What tests share: one tiny run of every stage, made once through the real command line."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from filelock import FileLock
from forward_runs import runs  # noqa: F401 - a fixture

from worldmodels_repro.cli import main
from worldmodels_repro.config import Config, load_config
from worldmodels_repro.run import stages_of
from worldmodels_repro.storage import load_csv

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
# As in a process of its own, whatever imports Keras first: another kernel has other last bits.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
TINY = Path(__file__).parent / "tiny.yaml"
CAR = Path(__file__).parent / "car" / "tiny.yaml"  # estimates know the whole game
STAGES = [*(stage for stage in stages_of(load_config(TINY)) if stage != "figures"), "results"]


def command(*words: object, timeout: float = 300,
            **environment: str) -> subprocess.CompletedProcess:
    """Run ``worldmodels WORDS`` as a user would, in this process: Keras takes seconds to import.

    With environment variables it gets a process of its own.
    """
    arguments = [str(word) for word in words]
    if environment:
        return subprocess.run([sys.executable, "-m", "worldmodels_repro.cli", *arguments],
                              capture_output=True, text=True, timeout=timeout,
                              env=os.environ | environment)
    out, err, before = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            signal.signal(signal.SIGTERM, before)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


NODE = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def in_node(script: Path) -> Any:
    """What a JavaScript file prints, as JSON.

    In one thread: with compilers in the background node can wait for them for ever when it
    ends (nodejs/node#54918).
    """
    result = subprocess.run(["node", "--single-threaded", script], capture_output=True, text=True,
                            timeout=120, check=True)
    return json.loads(result.stdout)


def killed_after(rows: int, table: Path, *words: object) -> None:
    """Kill ``worldmodels WORDS``, in a process of its own, once a CSV has so many rows."""
    process = subprocess.Popen(
        [sys.executable, "-m", "worldmodels_repro.cli", *(str(word) for word in words)],
        stderr=subprocess.DEVNULL)
    while len(load_csv(table)) < rows:
        assert process.poll() is None  # it has not come so far
        time.sleep(0.02)
    process.kill()
    process.wait()


def refused(result: subprocess.CompletedProcess) -> str:
    """The one line of a refusal; fails unless it is one line, with exit code 2."""
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("worldmodels:")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


def generations(run: Path) -> list[dict[str, Any]]:
    """What a run's evolution came to, times aside."""
    return [{name: value for name, value in row.items() if name not in ("seconds", "hours")}
            for row in load_csv(run / "evolve" / "generations.csv")]


def picture(env: gymnasium.Env[Any, Any]) -> np.ndarray:
    """What an environment renders, which has to be one picture."""
    frame = env.render()
    assert isinstance(frame, np.ndarray)
    return frame


@pytest.fixture(scope="session")
def tiny_config() -> Config:
    return load_config(TINY)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder, for all test processes (``pytest -n``): the first makes it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    run, made = shared / "runs" / "tiny", shared / "made"
    with FileLock(shared / "lock"):
        if not made.exists():
            for verb in STAGES:
                result = command(verb, "--config", TINY, "--run", run)
                assert result.returncode == 0, f"{verb}: {result.stderr}"
            made.touch()
    return run
