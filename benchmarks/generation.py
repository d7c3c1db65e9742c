"""The evolve stage on all cores, beside as many loops as there are cores."""

from __future__ import annotations

import tempfile
from itertools import takewhile
from pathlib import Path
from typing import Any

from benchmarks.bodies import body, memory_weights
from benchmarks.encode import encoder_weights
from benchmarks.loop import SLOTS, WAVES, project_loop
from benchmarks.measure import Contender, Scale, Stretch, take_turns
from benchmarks.report import Row, compare
from worldmodels_repro.config import check_config
from worldmodels_repro.cores import usable_cores
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.run import Run
from worldmodels_repro.stages import evolve
from worldmodels_repro.storage import load_csv, save_npz

BEFORE = [*takewhile(lambda stage: stage != "evolve", STAGES)]  # what it needs done
TIMED = 2  # generations, after the one in which the workers start


def generation(scale: Scale) -> list[Row]:
    """Steps a second of whole generations; the ratio is the cores' efficiency."""
    cores = usable_cores()
    steps = scale.pick(1000, 20)
    # The defaults but for a generation small enough to time.
    settings = {"population": scale.pick(16, 4), "rollouts": scale.pick(4, 1),
                "slots": SLOTS, "max_steps": steps, "patience": 0, "precision": "bf16",
                "generations": 1 + TIMED, "evaluate_every": 1 + TIMED, "evaluate_rollouts": 1}
    rates = take_turns({
        "evolve": Contender(_evolve, (settings,), one_core=False),
        "loop": Contender(project_loop, (body, "bf16", steps, WAVES * SLOTS)),
    }, scale.rounds)
    ideal = [rate * cores for rate in rates["loop"]]
    return [compare("generation", f"steps/s on {cores} cores", rates["evolve"], ideal,
                    f"{cores} x the loop on one core", settings=settings)]


def _evolve(settings: dict[str, Any]) -> Stretch:
    def stretch(number: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder), check_config({"seed": number, "evolve": settings}, "benchmark"))
            _pretend(run)
            evolve.run(run)
            rows = load_csv(run.folder("evolve") / "generations.csv")[-TIMED:]
        return float(sum(row["steps"] for row in rows) / sum(row["seconds"] for row in rows))

    return stretch


def _pretend(run: Run) -> None:
    """A run folder as it stands when C is to evolve, V and M untrained."""
    for stage in BEFORE:
        run.begin(stage)
        run.finish(stage)
    save_npz(run.folder("vae") / "weights.npz", encoder_weights())
    save_npz(run.folder("memory") / "weights.npz", memory_weights())
