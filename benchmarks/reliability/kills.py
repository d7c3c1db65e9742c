"""Kill what works with SIGKILL at random moments, type the same command again, compare the ends."""

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

TESTS = Path(__file__).parents[2] / "tests"
CONFIG = TESTS / "tiny.yaml"
MORE = ("--set", "evolve.generations=12", "--set", "memory.steps=12",
        "--set", "evaluate.episodes=2", "--set", "evaluate.random_episodes=1")
FEW = ("--episodes", "4")
COMMANDS: dict[Path, list[tuple[str, ...]]] = {
    CONFIG: [
        *((stage, *MORE) for stage in ("rollouts", "vae", "latents", "memory", "evolve",
                                       "evaluate")),
        ("evaluate", *MORE, "--again"), ("evaluate", *MORE, "--worlds"),
        ("evaluate", *MORE, "--temperatures", "0.5", "--generations", "2"),
        ("figures", *MORE), ("figures", *MORE, "--style", "paper"),
        ("truth", *MORE, *FEW), ("export", *MORE, "--format", "weights-js"),
        ("export", *MORE, "--format", "onnx"), ("report",)],
    TESTS / "tiny_learner.yaml": [
        ("rollouts",), ("pretrain",), ("learn",), ("evaluate",), ("probe", *FEW)],
    TESTS / "tiny_forward.yaml": [("rollouts",), ("forward",), ("bench", *FEW)],
    TESTS / "tiny_detector.yaml": [("classify",), ("learn",), ("evaluate",), ("figures",)],
    TESTS / "tiny_ppo.yaml": [("rollouts",), ("vae",), ("latents",), ("memory",), ("evolve",)],
}
"""Of each config, every stage and every verb that writes into a run, in order.

``play`` and ``check-game`` write pictures, ``results`` and the rest only words.
"""
NO_CONFIG = {"report": "--run", "bench": ""}
"""How verbs are told the run that are told no config."""


def kills(times: int, seed: int = 1) -> dict[str, object]:
    """Kill ``times`` commands once each; says how many then came to the very same end."""
    rng = random.Random(seed)
    victims = [(config, number) for config, commands in COMMANDS.items()
               for number in range(len(commands))]
    hit, others = 0, []
    with tempfile.TemporaryDirectory() as scratch:
        runs = {config: _references(config, Path(scratch) / config.stem)
                for config in {config for config, _ in victims[:times]}}
        for number in range(times):
            config, place = victims[number % len(victims)]
            words, (before, after, seconds) = COMMANDS[config][place], runs[config][place]
            moment = rng.uniform(0.0, seconds)
            run = Path(scratch) / "killed" / before.name
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(before, run, symlinks=True)
            was_hit, code = kill_once(words, config, run, moment)
            unlike = f"exit code {code}" if code else difference(run, after)
            hit += was_hit
            if unlike is not None:
                others.append(f"{' '.join(words)} after {moment:.2f} s: {unlike}")
            print(f"{number + 1}/{times} {words[0]} {words[-1]} at {moment:.1f} of "
                  f"{seconds:.1f} s: {unlike or 'the same'}", file=sys.stderr, flush=True)
    return {"name": "kills", "times": times, "commands": len(victims),
            "still running when killed": hit, "identical ends": times - len(others),
            "others": others}


def _references(config: Path, folder: Path) -> list[tuple[Path, Path, float]]:
    """Of each command the run before it, the run after it, and the seconds that it took."""
    made = []
    before = folder / "0" / "run"
    before.mkdir(parents=True)
    for number, words in enumerate(COMMANDS[config], start=1):
        after = folder / str(number) / "run"
        shutil.copytree(before, after, symlinks=True)
        clock = time.monotonic()
        if code := start(words, config, after).wait():
            raise RuntimeError(f"{' '.join(words)}: exit code {code}")
        made.append((before, after, time.monotonic() - clock))
        before = after
    return made


def kill_once(words: Sequence[str], config: Path, run: Path, moment: float) -> tuple[bool, int]:
    """Kill a command after ``moment`` seconds and type it again.

    Returns:
        Whether it was still running, and the second one's exit code.
    """
    victim, hit = start(words, config, run), False
    try:
        victim.wait(moment)
    except subprocess.TimeoutExpired:
        os.kill(victim.pid, signal.SIGKILL)
        hit = True
    victim.wait()
    return hit, start(words, config, run).wait()


def start(words: Sequence[str], config: Path, run: Path) -> subprocess.Popen[bytes]:
    """Start a command line on a run."""
    verb, *more = words
    place = ([NO_CONFIG[verb], str(run)] if verb in NO_CONFIG
             else ["--config", str(config), "--run", str(run)])
    return subprocess.Popen([sys.executable, "-m", "worldmodels_repro.cli", verb,
                             *filter(None, place), *more],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
