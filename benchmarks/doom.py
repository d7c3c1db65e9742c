"""Doom's whole loop on one core: games, V, M and C, beside the bare game doing the same."""

from __future__ import annotations

import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import gymnasium
import numpy as np

from benchmarks.bodies import doom_body
from benchmarks.loop import SLOTS, project_loop, record_drives
from benchmarks.measure import Contender, Scale, Stretch, in_process, take_turns
from benchmarks.report import Row, compare
from worldmodels_repro.envs.doom_engine import start_engine
from worldmodels_repro.envs.take_cover import JUDGE, MAX_TICS, require_vizdoom, step_of

# Episodes end when they end: with fewer, slots that idle at the end would count for more than in
# a worker's share of a generation (512 of them).
EPISODES = 8 * SLOTS


def doom(scale: Scale) -> list[Row]:
    """Tics a second of the loop, by the precision of V and M."""
    names = {precision: f"doom.{precision}.vizdoom" for precision in ("bf16", "f32")}
    if find_spec("vizdoom") is None:
        return [Row(name, skipped="vizdoom is not installed") for name in names.values()]
    steps = scale.pick(MAX_TICS, 20)
    with tempfile.TemporaryDirectory() as folder:
        drives = Path(folder) / "drives.npz"
        in_process(record_drives, doom_body, drives, steps)
        rates = take_turns({
            **{precision: Contender(project_loop, (doom_body, precision, steps,
                                                  scale.pick(EPISODES, SLOTS)))
               for precision in names},
            "vizdoom": Contender(_vizdoom, (drives,)),
        }, scale.rounds)
    return [compare(name, "tics/s on one core", rates[precision], rates["vizdoom"],
                    "the bare VizdoomTakeCover-v1, the same episodes")
            for precision, name in names.items()]


def _vizdoom(drives: Path) -> Stretch:
    """The judge's environment, which nothing looks at; a stretch is every recorded episode."""
    with np.load(drives) as archive:
        actions, lengths = archive["actions"], archive["lengths"]
    require_vizdoom()
    env = gymnasium.make(JUDGE)
    start_engine(env.get_wrapper_attr("game"))
    env.reset(seed=0)
    episodes = [[step_of(action) for action in row[:length]]
                for row, length in zip(actions, lengths, strict=True)]

    def stretch(number: int) -> float:
        start = time.perf_counter()
        for seed, episode in enumerate(episodes):
            env.reset(seed=seed)
            for action in episode:
                env.step(action)
        return float(lengths.sum()) / (time.perf_counter() - start)

    return stretch
