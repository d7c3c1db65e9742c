"""Dreams on one core, beside M's step written plainly, the games themselves and the real loop."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib.util import find_spec

from benchmarks.bodies import body, controllers, dream
from benchmarks.encode import encoder_weights
from benchmarks.loop import SLOTS, WAVES, project_loop
from benchmarks.measure import Contender, Scale, Stretch, take_turns
from benchmarks.plain import dream_steps
from benchmarks.report import Row, compare
from worldmodels_repro.envs.doom_engine import start_engine
from worldmodels_repro.models.contracts import Precision
from worldmodels_repro.models.vae.vision import Vision
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.worlds.dream import DreamWorld
from worldmodels_repro.worlds.episodes import play

DREAMS = 256  # in lockstep
STEPS = 400  # of an episode
DOOM, CAR = (512, 64), (256, 32)  # M's units, latent dimensions


def dreams(scale: Scale) -> list[Row]:
    """Steps a second of whole dreams, C included, by size of M."""
    steps = scale.pick(STEPS, 10)
    rates = take_turns({
        "512 bf16": Contender(_dreams, (*DOOM, "bf16", steps)),
        "512 f32": Contender(_dreams, (*DOOM, "f32", steps)),
        "512 plain": Contender(dream_steps, (*DOOM, DREAMS, scale.pick(100, 3))),
        "256 bf16": Contender(_dreams, (*CAR, "bf16", steps)),
        "256 f32": Contender(_dreams, (*CAR, "f32", steps)),
        "loop": Contender(project_loop, (body, "bf16", scale.pick(1000, 20), WAVES * SLOTS)),
        **({"vizdoom": Contender(_vizdoom, (scale.pick(3000, 50),))} if _has_vizdoom() else {}),
    }, scale.rounds)
    unit = "steps/s on one core"
    rows = []
    for precision in ("bf16", "f32"):
        large, small = rates[f"512 {precision}"], rates[f"256 {precision}"]
        rows.append(compare(f"dreams.512.{precision}.plain", unit, large, rates["512 plain"],
                            "plain NumPy, float32"))
        if "vizdoom" in rates:
            rows.append(compare(f"dreams.512.{precision}.vizdoom", unit, large, rates["vizdoom"],
                                "bare VizdoomTakeCover-v1"))
        else:
            rows.append(Row(f"dreams.512.{precision}.vizdoom", skipped="vizdoom is not installed"))
        rows.append(compare(f"dreams.256.{precision}.loop", unit, small, rates["loop"],
                            "the real loop, bf16"))
    return rows


def _dreams(units: int, z: int, precision: Precision, steps: int) -> Stretch:
    data = dream(units, z, precision)
    world, agent = DreamWorld(data, DREAMS), replace(body(precision), memory=data.memory,
                                                     vision=Vision(encoder_weights(z)))
    count = agent.shape.weights

    def driven(number: int) -> Controllers:
        return Controllers(agent, controllers(DREAMS, count, number), DREAMS)

    play(world, driven(0), list(range(DREAMS)), 2)

    def stretch(number: int) -> float:
        drivers = driven(number)
        seeds = list(range(number * DREAMS, (number + 1) * DREAMS))
        start = time.perf_counter()
        played = play(world, drivers, seeds, steps)
        return float(played.steps.sum()) / (time.perf_counter() - start)

    return stretch


def _has_vizdoom() -> bool:
    return find_spec("vizdoom") is not None


def _vizdoom(steps: int) -> Stretch:
    import gymnasium
    import vizdoom.gymnasium_wrapper  # noqa: F401 - registers the environment

    env = gymnasium.make("VizdoomTakeCover-v1", disable_env_checker=True)
    start_engine(env.get_wrapper_attr("game"))
    env.reset(seed=0)
    env.action_space.seed(0)

    def stretch(number: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()
        return steps / (time.perf_counter() - start)

    return stretch
