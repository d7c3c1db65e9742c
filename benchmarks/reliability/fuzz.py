"""Damage every kind of file that is read, and see that reading it says so in one line."""

from __future__ import annotations

import random
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from worldmodels_repro.config import load_config
from worldmodels_repro.data.episodes import FRAMES, LATENTS, kept_episodes, load_episode
from worldmodels_repro.errors import UserError
from worldmodels_repro.evolution.strategy import Strategy
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.records import AgentOrigin, Evaluation, Judgement, Marker, Score
from worldmodels_repro.remote.mirror import AGREED, Agreed
from worldmodels_repro.storage import (
    Arrays,
    load_csv,
    load_json,
    load_json_lines,
    resume_checkpoint,
    save_csv,
    save_json,
    save_json_lines,
    save_npz,
)
from worldmodels_repro.worlds.agent import load_agent

Read = Callable[[Path], object]


def fuzz(times: int, seed: int = 1) -> dict[str, Any]:
    """Read ``times`` damaged files; says how many were read, refused, and did worse."""
    rng = random.Random(seed)
    ends: Counter[str] = Counter()
    worse: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        home, outside = Path(scratch) / "run", Path(scratch) / "outside"
        outside.mkdir()
        samples = make_samples(home)
        names = sorted(samples)
        for number in range(times):
            name = names[number % len(names)]
            path = home / name
            good = path.read_bytes()
            path.write_bytes(damaged(good, rng))
            try:
                with redirect_stderr(StringIO()):
                    samples[name](path)
                ends["read"] += 1
            except UserError as error:
                ends["refused"] += 1
                if "\n" in str(error) or not str(error):
                    worse.append(f"{name}: not one line: {error!r}")
            except Exception:
                worse.append(f"{name}: {traceback.format_exc(limit=-2)}")
            path.write_bytes(good)
            if list(outside.iterdir()) or sorted(Path(scratch).iterdir()) != [outside, home]:
                worse.append(f"{name}: something was written outside the run folder")
    return {"name": "fuzz", "times": times, "kinds of files": len(names), **ends,
            "tracebacks": len(worse), "others": worse[:10]}


def damaged(good: bytes, rng: random.Random) -> bytes:
    """One way of being broken: cut, flipped, spliced, nonsense, or well-formed but wrong."""
    kind = rng.randrange(7)
    if kind == 0:
        return good[:rng.randrange(len(good) + 1)]
    if kind == 1:
        flipped = bytearray(good)
        for _ in range(rng.randrange(1, 9)):
            flipped[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if kind == 2:
        first, second = sorted(rng.randrange(len(good) + 1) for _ in range(2))
        return good[:first] + good[second:]
    if kind == 3:
        return rng.randbytes(rng.randrange(200))
    if kind == 4:
        at = rng.randrange(len(good) + 1)
        return good[:at] + rng.randbytes(rng.randrange(1, 20)) + good[at:]
    words = [b"null", b"[]", b"{}", b"-1", b"1e999", b"NaN", b'"x"', b"true", b"[" * 5000,
             b"!!python/object/apply:os.system ['true']", b"&a [*a]", b"../../outside/x", b"\0",
             b"9" * 5000, b"\xff\xfe", b'{"a":' * 3000]
    if kind == 5:
        return rng.choice(words)
    # A value where another was.
    tokens = good.replace(b",", b"\n").split(b"\n")
    old = rng.choice([token for token in tokens if token.strip()] or [good])
    return good.replace(old.split(b":")[-1].strip() or old, rng.choice(words), 1)


def make_samples(home: Path) -> dict[str, Read]:
    """A good file of each kind below ``home``, and how it is read."""
    rng = np.random.default_rng(0)
    T = 5
    outcome = {"actions": np.zeros((T, 3), np.float32), "rewards": np.zeros(T, np.float32),
               "terminated": np.zeros(T, bool), "truncated": np.zeros(T, bool)}
    save_npz(home / "rollouts" / "brownian-000000.npz",
             {"frames": rng.integers(0, 255, (T, 64, 64, 3), np.uint8), **outcome})
    save_npz(home / "latents" / "brownian-000000.npz",
             {"mu": np.zeros((T, 32), np.float16), "logvar": np.zeros((T, 32), np.float16),
              **outcome})
    save_json_lines(home / "rollouts" / "manifest.jsonl", [
        {"episode": "brownian-000000", "policy": "brownian", "seed": 1, "length": T,
         "return": 0.5, "kept": True}] * 3)
    save_json(home / "vae" / "stage.json", {"state": "done", "settings": {"vae.z": 32},
                                            "seconds": 1.5, "facts": {"parameters": 3}})
    save_csv(home / "evolve" / "generations.csv", [
        {"generation": k, "best": 1.5, "steps": 10, "hours": 0.1} for k in range(1, 4)])
    save_json_lines(home / "evolve" / "evaluations.jsonl", [
        {"generation": k, "episodes": 2, "mean": 1.5, "std": 0.5, "steps": 10}
        for k in range(1, 4)])
    strategy = Strategy(np.zeros(4), 0.1, 4, 1)
    candidates = strategy.ask()
    strategy.tell(candidates, np.arange(4.0))
    save_npz(home / "evolve" / "strategy.npz", strategy.state() | {"step": np.array(1)}, level=0)
    save_json(home / "evolve" / "agent.json", {"run": "x", "generation": 1, "mean": 2.5})
    save_npz(home / "evolve" / "agent.npz", {"weights": np.zeros(99, np.float32)})
    save_npz(home / "vae" / "weights.npz", {"encoder/mu/bias": np.zeros(32, np.float16)})
    summary = {"episodes": 1, "mean": 1.5, "std": 0.0, "ci95": [1.0, 2.0], "min": 1.0, "max": 1.5}
    save_json(home / "evaluate" / "evaluation.json", {
        "environment": "CarRacing-v3", "unmodified": True, "solved": 900.0, "versions": {"a": "1"},
        "agent": {"run": "x", "generation": 1, "mean": 2.5}, "results": {"agent": summary},
        "episodes": {"agent": [{"seed": 1, "score": 1.5, "steps": 3}]}})
    save_json_lines(home / "evaluate" / "episodes.jsonl", [
        {"player": "agent", "seed": 1, "score": 1.5, "steps": 3}])
    (home / "config.yaml").write_text(
        "seed: 3\nrollouts:\n  policies: {brownian: 2}\ncontroller: {inputs: [z]}\n"
        "vae: {epochs: 2, learning_rate: 0.001}\nevolve: {population: 8, sigma: 0.1}\n")
    save_json(home / AGREED, {"url": "s3://a/b", "place": "c", "writer": "d",
                                     "files": {"config.yaml": ["e", 1, 2]}})

    def restore(state: Arrays, source: str) -> None:
        del state["step"]
        Strategy(np.zeros(4), 0.1, 4, 1).restore(state, source)

    def judged(path: Path) -> object:
        document = load_json(path, Judgement)
        return [row["score"] + row["steps"] for rows in document["episodes"].values()
                for row in rows], [row["ci95"][1] for row in document["results"].values()]

    def kept(path: Path) -> object:
        return [path.parent / f"{name}.npz" for name in kept_episodes(path.parent)]

    return {
        "rollouts/brownian-000000.npz": lambda path: load_episode(path.parent, path.stem, FRAMES),
        "latents/brownian-000000.npz": lambda path: load_episode(path.parent, path.stem, LATENTS),
        "rollouts/manifest.jsonl": kept,
        "vae/stage.json": lambda path: load_json(path, Marker)["settings"],
        "evolve/generations.csv": lambda path: [
            row["generation"] + row["hours"]
            for row in load_csv(path, "generation", "steps", "hours")],
        "evolve/evaluations.jsonl": lambda path: max(
            (row["mean"] for row in load_json_lines(path, Evaluation)), default=None),
        "evolve/strategy.npz": lambda path: resume_checkpoint(path, restore),
        "evolve/agent.json": lambda path: load_json(path, AgentOrigin)["mean"] + 1,
        "evolve/agent.npz": lambda path: load_agent(path.parents[1]),
        "vae/weights.npz": load_weights,
        "evaluate/evaluation.json": judged,
        "evaluate/episodes.jsonl": lambda path: [
            row["seed"] + row["score"] for row in load_json_lines(path, Score)],
        "config.yaml": load_config,
        AGREED: lambda path: Agreed(path.parents[1], "s3://a/b"),
    }
