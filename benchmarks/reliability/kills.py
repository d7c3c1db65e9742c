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
from pathlib import Path

from benchmarks.reliability.compare import difference

CONFIG = Path(__file__).parents[2] / "tests" / "tiny.yaml"
STAGES = {"rollouts": "rollouts", "vae": "vae", "latents": "latents", "memory": "memory",
          "evolve": "evolve", "evaluate": "evaluation"}
MORE = ("--set", "evolve.generations=12", "--set", "vae.epochs=4", "--set", "memory.steps=16",
        "--set", "evaluate.episodes=6")


def kills(times: int, seed: int = 1) -> dict[str, object]:
    """Kill ``times`` stages once each; says how many then came to the very same end."""
    rng = random.Random(seed)
    same, hit, lost = 0, 0, []
    with tempfile.TemporaryDirectory() as scratch:
        reference = Path(scratch) / "reference"
        seconds = {}
        for stage in STAGES:
            clock = time.monotonic()
            _start(stage, reference).wait()
            seconds[stage] = time.monotonic() - clock
        for number in range(times):
            stage = list(STAGES)[number % len(STAGES)]
            run = Path(scratch) / "run"
            shutil.rmtree(run, ignore_errors=True)
            _copy_before(stage, reference, run)
            moment = rng.uniform(0.0, seconds[stage])
            victim = _start(stage, run)
            try:
                victim.wait(moment)
            except subprocess.TimeoutExpired:
                os.kill(victim.pid, signal.SIGKILL)
                hit += 1
            victim.wait()
            code = _start(stage, run).wait()
            unlike = difference(run / STAGES[stage], reference / STAGES[stage])
            if code == 0 and unlike is None:
                same += 1
            else:
                lost.append(f"{stage} after {moment:.2f} s: exit {code}, {unlike}")
            print(f"{number + 1}/{times} {stage} at {moment:.1f} of {seconds[stage]:.1f} s: "
                  f"{'the same' if not lost or unlike is None else unlike}",
                  file=sys.stderr, flush=True)
    return {"name": "kills", "times": times, "still running when killed": hit,
            "identical ends": same, "others": lost}


def _start(stage: str, run: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "worldmodels_repro.cli", stage, "--config",
                             str(CONFIG), "--run", str(run), *MORE],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _copy_before(stage: str, reference: Path, run: Path) -> None:
    """What the stages before this one made."""
    run.mkdir()
    for earlier, folder in STAGES.items():
        if earlier == stage:
            return
        shutil.copytree(reference / folder, run / folder)
