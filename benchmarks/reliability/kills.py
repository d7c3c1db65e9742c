"""Kill stages with SIGKILL at random moments, type the same command again, compare the ends."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.reliability.compare import difference
from worldmodels_repro import pipeline

CONFIG = Path(__file__).parents[2] / "tests" / "tiny.yaml"
STAGES = [name for name, stage in pipeline.STAGES.items()
          if name != "figures" and not stage.beside]
MORE = ("--set", "evolve.generations=12", "--set", "memory.steps=12",
        "--set", "evaluate.episodes=2", "--set", "evaluate.random_episodes=1")


def kills(times: int, seed: int = 1) -> dict[str, object]:
    """Kill ``times`` stages once each; says how many then came to the very same end."""
    rng = random.Random(seed)
    hit, others = 0, []
    with tempfile.TemporaryDirectory() as scratch:
        reference = Path(scratch) / "reference"
        seconds = {}
        for stage in STAGES:
            clock = time.monotonic()
            _start(stage, reference, MORE).wait()
            seconds[stage] = time.monotonic() - clock
        for number in range(times):
            stage = STAGES[number % len(STAGES)]
            moment = rng.uniform(0.0, seconds[stage])
            was_hit, unlike = kill_once(stage, moment, reference, Path(scratch) / "run", MORE)
            hit += was_hit
            if unlike is not None:
                others.append(f"{stage} after {moment:.2f} s: {unlike}")
            print(f"{number + 1}/{times} {stage} at {moment:.1f} of {seconds[stage]:.1f} s: "
                  f"{unlike or 'the same'}", file=sys.stderr, flush=True)
    return {"name": "kills", "times": times, "still running when killed": hit,
            "identical ends": times - len(others), "others": others}


def kill_once(stage: str, moment: float, reference: Path, run: Path,
              more: Sequence[str] = ()) -> tuple[bool, str | None]:
    """Kill one stage after ``moment`` seconds and run it again.

    Returns:
        Whether it was still running, and what then differs from the reference (None: nothing).
    """
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    for earlier in STAGES[:STAGES.index(stage)]:
        shutil.copytree(reference / earlier, run / earlier)
    victim, hit = _start(stage, run, more), False
    try:
        victim.wait(moment)
    except subprocess.TimeoutExpired:
        os.kill(victim.pid, signal.SIGKILL)
        hit = True
    victim.wait()
    code = _start(stage, run, more).wait()
    unlike = difference(run / stage, reference / stage)
    return hit, f"exit code {code}" if code else unlike


def _start(stage: str, run: Path, more: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "worldmodels_repro.cli", stage, "--config",
                             str(CONFIG), "--run", str(run), *more],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
