"""The whole loop on one core: games, V, M and C, as an evolve worker plays them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from benchmarks.bodies import body, controllers
from benchmarks.encode import encoder_weights
from benchmarks.env import rate
from benchmarks.measure import Contender, Scale, Stretch, in_process, take_turns
from benchmarks.plain import keras_loop
from benchmarks.report import Row, compare
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.contracts import Precision
from worldmodels_repro.models.vae.programs import Encoder
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.worlds.agent import Body
from worldmodels_repro.worlds.episodes import play
from worldmodels_repro.worlds.frames import FramesWorld
from worldmodels_repro.worlds.real import RealWorld

SLOTS = 16
WAVES = 2  # episodes a slot plays in one stretch
ENCODER_CALLS = 500


def loop(scale: Scale) -> list[Row]:
    """Steps a second of the loop beside gymnasium, the plainest loop, and the loop's limit."""
    steps = scale.pick(1000, 20)
    with tempfile.TemporaryDirectory() as folder:
        drives = Path(folder) / "drives.npz"
        in_process(record_drives, body, drives, steps)
        contenders = {
            "bf16": Contender(project_loop, (body, "bf16", steps, WAVES * SLOTS)),
            "f32": Contender(project_loop, (body, "f32", steps, WAVES * SLOTS)),
            "int8": Contender(project_loop, (body, "int8", steps, WAVES * SLOTS)),
            "gymnasium": Contender(_gymnasium, (drives,)),
            "physics": Contender(_physics, (drives,)),
            "keras": Contender(keras_loop, (scale.pick(200, 3), steps)),
            "encoder bf16": Contender(_encoder, ("bf16", scale.pick(ENCODER_CALLS, 5))),
            "encoder f32": Contender(_encoder, ("f32", scale.pick(ENCODER_CALLS, 5))),
        }
        rates = take_turns(contenders, scale.rounds)
    best = [max(pair) for pair in zip(rates["encoder bf16"], rates["encoder f32"], strict=True)]
    limit = [1 / (1 / physics + 1 / encoder)
             for physics, encoder in zip(rates["physics"], best, strict=True)]
    parts = {name: rates[name] for name in ("physics", "encoder bf16", "encoder f32")}
    rows = []
    for precision in ("bf16", "f32"):
        ours = rates[precision]
        rows += [
            compare(f"loop.{precision}.gymnasium", "steps/s on one core", ours,
                    rates["gymnasium"], "gymnasium's bare CarRacing, the same drives"),
            compare(f"loop.{precision}.keras", "steps/s on one core", ours, rates["keras"],
                    "gymnasium and Keras one frame at a time"),
            compare(f"loop.{precision}.limit", "steps/s on one core", ours, limit,
                    "gymnasium's physics and V's encoder alone", parts=parts),
        ]
    rows.append(compare("loop.int8.f32", "steps/s on one core", rates["int8"], rates["f32"],
                        "the same loop in float32"))
    return rows


def project_loop(build: Callable[[Precision], Body], precision: Precision, steps: int,
                 episodes: int) -> Stretch:
    """A worker's world; a stretch plays ``episodes`` of ``steps`` steps, resets included."""
    agent = build(precision)
    world = _world(agent)
    play(world, _driven(agent, SLOTS, 0), list(range(SLOTS)), 2)

    def stretch(number: int) -> float:
        drivers = _driven(agent, episodes, number)
        seeds = list(range(number * episodes, (number + 1) * episodes))
        start = time.perf_counter()
        played = play(world, drivers, seeds, steps)
        return float(played.steps.sum()) / (time.perf_counter() - start)

    return stretch


def _world(agent: Body) -> RealWorld:
    return RealWorld(agent, FramesWorld(game_named(agent.game), SLOTS, "fast"))


def _driven(agent: Body, episodes: int, seed: int) -> Controllers:
    return Controllers(agent, controllers(episodes, agent.shape.weights, seed), SLOTS)


def record_drives(build: Callable[[Precision], Body], path: Path, steps: int) -> None:
    """Write what one batch of the loop does, for others to do after it from the same seeds."""
    agent = build("bf16")
    taken: list[np.ndarray] = []  # each (slots, actions)
    played = play(_world(agent), _driven(agent, SLOTS, 0), list(range(SLOTS)), steps,
                  watch=lambda seen, actions, *outcome: taken.append(actions.copy()))
    np.savez(path, actions=np.stack(taken, axis=1), lengths=played.steps)


def _gymnasium(drives: Path) -> Stretch:
    env = gymnasium.make("CarRacing-v3")
    env.reset(seed=0)
    return _replay(env, drives)


def _physics(drives: Path) -> Stretch:
    """gymnasium's CarRacing with its drawing replaced by nothing."""
    # Without the checker, which complains that the picture never changes.
    env: Any = gymnasium.make("CarRacing-v3", disable_env_checker=True)
    nothing = np.zeros((96, 96, 3), np.uint8)
    env.unwrapped._render = lambda mode: nothing
    env.reset(seed=0)
    return _replay(env, drives)


def _replay(env: Any, drives: Path) -> Stretch:
    with np.load(drives) as archive:
        actions, lengths = archive["actions"], archive["lengths"]

    def stretch(number: int) -> float:
        seed = number % len(actions)
        return rate(env, list(actions[seed, :lengths[seed]]), seed)

    return stretch


def _encoder(precision: Precision, calls: int) -> Stretch:
    encoder = Encoder(encoder_weights(), SLOTS, precision)
    encoder.frames[:] = np.random.default_rng(0).integers(0, 256, encoder.frames.shape, np.uint8)
    encoder.encode(encoder.frames)

    def stretch(number: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            encoder.encode(encoder.frames)
        return calls * SLOTS / (time.perf_counter() - start)

    return stretch
