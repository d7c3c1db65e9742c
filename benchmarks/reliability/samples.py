"""A good file of each kind that this project reads, and how it is read."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from worldmodels_repro.cloud import RECORD
from worldmodels_repro.cloud.bill import bill_of
from worldmodels_repro.cloud.prices import load_prices
from worldmodels_repro.cloud.rates import BENCHMARKS, WHOLE, load_rates
from worldmodels_repro.config import load_config
from worldmodels_repro.data.episodes import FRAMES, LATENTS, kept_episodes, load_episode
from worldmodels_repro.data.recorded import recorded
from worldmodels_repro.envs.detector_maps import Folder
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.evolution.cma_es import CmaEs
from worldmodels_repro.evolution.strategies import load_spread
from worldmodels_repro.export.page_files import page_files
from worldmodels_repro.learning.chunks import Chunks
from worldmodels_repro.models.forward.predictor import (
    PROGRAMS,
    load_contexts,
    load_frame_network,
)
from worldmodels_repro.models.mdn_rnn.head import Head
from worldmodels_repro.models.vae.layers import layers_named
from worldmodels_repro.models.vae.ranges import with_ranges
from worldmodels_repro.models.vae.vision import Vision
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.records import (
    AgentOrigin,
    Bench,
    Evaluation,
    Judgement,
    Marker,
    Score,
    Temperatures,
)
from worldmodels_repro.remote.mirror import AGREED, Agreed
from worldmodels_repro.report import learning
from worldmodels_repro.report.sample import load_sample
from worldmodels_repro.run import load_run
from worldmodels_repro.storage import (
    Arrays,
    load_csv,
    load_json,
    load_json_lines,
    load_step,
    resume_checkpoint,
    save_csv,
    save_json,
    save_json_lines,
    save_npz,
)
from worldmodels_repro.tables import Sample
from worldmodels_repro.worlds.agent import encoder_of, load_agent, pretrained_encoder

Read = Callable[[Path], object]
T, Z, UNITS = 5, 4, 8  # steps of an episode; sizes of a small V and M
SUMMARY = {"episodes": 1, "mean": 1.5, "std": 0.0, "ci95": [1.0, 2.0], "min": 1.0, "max": 1.5}
MINE = """import numpy as np
from worldmodels_repro.envs.game import Game
from worldmodels_repro.models.vae.layers import Conv, Layers
V = Layers(encoder=(Conv(4, 6, 4), Conv(8, 5, 5)), dense=8, decoder=(Conv(4, 8, 4), Conv(3, 8, 8)))
GAME = Game(name="mine", judge_id="CartPole-v1", state=4, solved=9.0, max_steps=9,
            low=np.array([-1.0, -1.0]), high=np.array([1.0, 1.0]), choices=np.eye(2))
"""


def make_samples(home: Path) -> dict[str, Read]:
    """The files, below ``home``, by name."""
    return _of_stages(home) | _of_learners(home) | _of_users(home) | _of_whole_runs(home)


def _of_stages(home: Path) -> dict[str, Read]:
    """What the paper's stages leave, file by file."""
    rng = np.random.default_rng(0)
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
    strategy = CmaEs(np.zeros(4), 0.1, 4, 1)
    candidates = strategy.ask()
    strategy.tell(candidates, np.arange(4.0))
    save_npz(home / "evolve" / "strategy.npz", strategy.state() | {"step": np.array(1)}, level=0)
    save_json(home / "evolve" / "agent.json", {"run": "x", "generation": 1, "mean": 2.5})
    save_npz(home / "evolve" / "agent.npz", {"weights": np.zeros(99, np.float32)})
    save_npz(home / "vae" / "weights.npz", {"encoder/mu/bias": np.zeros(32, np.float16)})
    save_npz(home / "vae" / "ranges.npz", {"ranges": np.ones(6, np.float32)})
    save_json(home / "evaluate" / "evaluation.json", {
        "environment": "CarRacing-v3", "unmodified": True, "solved": 900.0, "versions": {"a": "1"},
        "agent": {"run": "x", "generation": 1, "mean": 2.5}, "results": {"agent": SUMMARY},
        "episodes": {"agent": [{"seed": 1, "score": 1.5, "steps": 3}]}})
    save_json_lines(home / "evaluate" / "episodes.jsonl", [
        {"player": "agent", "seed": 1, "score": 1.5, "steps": 3}])
    save_json(home / "evaluate" / "temperatures.json", {
        "environment": "x", "random": SUMMARY, "temperatures": [
            {"temperature": 0.5, "dream": SUMMARY, "real": SUMMARY}]})
    (home / "config.yaml").write_text(
        "seed: 3\nrollouts:\n  policies: {brownian: 2}\ncontroller: {inputs: [z]}\n"
        "vae: {epochs: 2, learning_rate: 0.001}\nevolve: {population: 8, sigma: 0.1}\n")
    save_npz(home / "figures" / "sample.npz",
             {name: np.zeros(3, np.float32) for name in Sample.__annotations__})
    save_json(home / AGREED, {"url": "s3://a/b", "place": "c", "writer": "d",
                                     "files": {"config.yaml": ["e", 1, 2]}})
    save_json_lines(home / RECORD, [{"machine": "i-1", "instance_type": "c7a.16xlarge",
                                     "spot": True, "stage": "evolve", "hours": 1.5}])
    prices = load_prices()
    (home / "prices.yaml").write_text(prices.model_dump_json())
    (home / "rates").mkdir()
    shutil.copy(BENCHMARKS / f"{WHOLE}.jsonl", home / "rates")

    def restore(state: Arrays, source: str) -> None:
        del state["step"]
        CmaEs(np.zeros(4), 0.1, 4, 1).restore(state, source)

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
        "evolve/strategy.npz": lambda path: (resume_checkpoint(path, restore),
                                             load_spread(path.parents[1])),
        "evolve/agent.json": lambda path: load_json(path, AgentOrigin)["mean"] + 1,
        "evolve/agent.npz": lambda path: load_agent(path.parents[1]),
        "vae/weights.npz": load_weights,
        "vae/ranges.npz": lambda path: with_ranges(path.parents[1],
                                                   Vision({}, layers_named("paper"))),
        "evaluate/evaluation.json": judged,
        "evaluate/episodes.jsonl": lambda path: [
            row["seed"] + row["score"] for row in load_json_lines(path, Score)],
        "evaluate/temperatures.json": lambda path: [
            row["real"]["ci95"][1] for row in load_json(path, Temperatures)["temperatures"]],
        "figures/sample.npz": lambda path: load_sample(load_run(path.parents[1])),
        "config.yaml": load_config,
        AGREED: lambda path: Agreed(path.parents[1], "s3://a/b"),
        RECORD: lambda path: bill_of(path.parent, prices),
        "prices.yaml": load_prices,
        f"rates/{WHOLE}.jsonl": lambda path: load_rates(folder=path.parent),
    }


def _of_learners(home: Path) -> dict[str, Read]:
    """What ``learn``, ``pretrain`` and ``forward`` leave."""
    run = home / "learner"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(
        "game: pendulum\ncontroller: {by: td3, inputs: [f], encoder: frozen}\n"
        "frames: {stack: 2, layers: strided_1, latent: 3}\n"
        "pretrain: {networks: [autoencoder], sees: f, hidden: [64]}\nlearn: {layers: [8]}\n")
    config = load_config(run / "config.yaml")
    learn, forward = run / "learn", run / "forward"
    save_npz(learn / "learner.npz", {"step": np.array(9), "episodes": np.array(1),
                                     "learner_updates": np.array(3)}, level=0)
    save_npz(learn / "memory" / "000000000-000000004.npz", {"rows": np.zeros((4, 3), np.float32)})
    save_csv(learn / "history.csv", [{"step": k, "mean": 1.0, "std": 0.5} for k in (4, 9)])
    save_json_lines(learn / "episodes.jsonl", [
        {"episode": 0, "step": 4, "steps": 4, "score": 1.5, "loss": None}])
    save_npz(run / "pretrain" / "autoencoder" / "encoder.npz", {
        "weights": np.zeros(encoder_of(config).weights, np.float32)})
    save_npz(forward / "programs.npz", {**{name: np.zeros(9, np.uint8) for name in PROGRAMS},
                                        "actions": np.array(1)})
    save_npz(forward / "contexts.npz", {"frames": np.zeros((1, 2, 32, 32, 3), np.uint8),
                                        "actions": np.zeros((1, 1, 1)), "serve": np.zeros((1, 2))})
    save_json(forward / "bench.json", {"game": "pendulum", "rows": [
        {"model": "x", "horizon": 1, "episodes": 2, "mse": 0.5, "std": 0.1, "place": None}]})
    read: dict[str, Read] = {
        "learn/learner.npz": lambda path: resume_checkpoint(path, load_step),
        "learn/memory/000000000-000000004.npz": lambda path: Chunks(path.parent, 3).rows(
            np.arange(4)),
        "learn/history.csv": lambda path: learning.learning(load_run(run)),
        "learn/episodes.jsonl": lambda path: learning.learning(load_run(run)),
        "pretrain/autoencoder/encoder.npz": lambda path: pretrained_encoder(run, config),
        "forward/programs.npz": lambda path: load_frame_network(run, config.forward, "pendulum"),
        "forward/contexts.npz": lambda path: load_contexts(run),
        "forward/bench.json": lambda path: [row["mse"] for row in load_json(path, Bench)["rows"]],
    }
    return {f"learner/{name}": reader for name, reader in read.items()}


def _of_users(home: Path) -> dict[str, Read]:
    """What users bring: a file of Python, episodes that were recorded elsewhere, maps."""
    (home / "mine.py").write_text(MINE)
    save_npz(home / "recorded.npz", {
        "frames": np.zeros((T, 48, 80, 3), np.uint8), "actions": np.arange(T) % 2,
        "rewards": np.zeros(T), "terminated": np.arange(T) == 2})
    source = np.zeros((8, 8))
    source[3:5, 2:6] = 1.5
    save_npz(home / "maps" / "image0.npz", {"image": source})
    save_npz(home / "maps" / "label0.npz", {"label": (source > 0).astype(int)})
    numbers = itertools.count()

    def played(path: Path) -> object:
        fresh = path.with_name(f"mine_{next(numbers)}.py")  # a file is run once in a process
        fresh.write_bytes(path.read_bytes())
        try:
            env = game_named(f"{fresh}:GAME").make_states()
            env.reset(seed=1)
            return env.step(np.array([0.0, 1.0]))
        finally:
            fresh.unlink()

    return {"mine.py": played,
            "recorded.npz": lambda path: list(recorded(str(path), game_named("cube_crash"))),
            **{f"maps/{kind}0.npz": lambda path: Folder(path.parent)[0]
               for kind in ("image", "label")}}


def _of_whole_runs(home: Path) -> dict[str, Read]:
    """V, M and C of a run that can be exported: each file, and all of it read."""
    run, rng = home / "whole", np.random.default_rng(0)
    run.mkdir(parents=True)
    (run / "v.py").write_text(MINE)
    (run / "config.yaml").write_text(
        f'game: car_racing\nvae: {{layers: "{run / "v.py"}:V", z: {Z}}}\n'
        f"memory: {{units: {UNITS}, done: true, reward: true}}\ncontroller: {{inputs: [z, h]}}\n"
        "evolve: {world: dream}\n")

    def weights(shapes: dict[str, tuple[int, ...]]) -> Arrays:
        return {name: rng.normal(size=shape).astype(np.float16) for name, shape in shapes.items()}

    outputs = Head(z=Z, mixtures=5, done=True, reward=True).outputs
    save_npz(run / "vae" / "weights.npz",
             weights(layers_named(f"{run / 'v.py'}:V").shapes(Z)))
    save_npz(run / "memory" / "weights.npz", weights({
        "lstm/kernel": (Z + 3, 4 * UNITS), "lstm/recurrent_kernel": (UNITS, 4 * UNITS),
        "lstm/bias": (4 * UNITS,), "mdn/kernel": (UNITS, outputs), "mdn/bias": (outputs,)}))
    save_npz(run / "memory" / "starts.npz", weights({"mu": (2, Z), "logvar": (2, Z)}))
    save_npz(run / "evolve" / "agent.npz", {"weights": np.zeros(3 * (Z + UNITS + 1), np.float32)})
    save_json(run / "evolve" / "agent.json", {"run": "x", "generation": 1, "mean": 2.5})

    def exported(path: Path) -> object:
        return page_files(load_run(run), print)

    return {f"whole/{name}": exported for name in (
        "vae/weights.npz", "memory/weights.npz", "memory/starts.npz", "evolve/agent.npz",
        "evolve/agent.json")}
