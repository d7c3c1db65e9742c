"""The rollouts stage on all cores, its files included, beside a plain collection."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import Contender, Scale, Stretch, take_turns
from benchmarks.plain import collection
from benchmarks.report import Row, compare
from worldmodels_repro.config import check_config
from worldmodels_repro.run import Run
from worldmodels_repro.stages import rollouts
from worldmodels_repro.storage import load_json

POLICIES = {"brownian": 48, "network": 24}  # episodes of a stretch


def collect(scale: Scale) -> list[Row]:
    """Frames a second on disk, the workers' start included, by policy."""
    steps = scale.pick(1000, 10)
    with tempfile.TemporaryDirectory() as folder:
        contenders = {policy: Contender(_project, (policy, scale.pick(episodes, 2), steps), False)
                      for policy, episodes in POLICIES.items()}
        contenders["plain"] = Contender(collection, (Path(folder), steps), False)
        rates = take_turns(contenders, scale.rounds)
    return [compare(f"collect.{policy}", "frames/s on all cores", rates[policy], rates["plain"],
                    "gymnasium, random actions, one process, savez_compressed",
                    episodes=scale.pick(POLICIES[policy], 2)) for policy in POLICIES]


def _project(policy: str, episodes: int, steps: int) -> Stretch:
    settings: dict[str, Any] = {"policies": {policy: episodes}, "max_steps": steps}

    def stretch(number: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder), check_config({"seed": number, "rollouts": settings},
                                                 "benchmark"))
            rollouts.run(run)
            record = load_json(run.folder("rollouts") / "stage.json", dict)
        return float(record["facts"]["frames"] / record["seconds"])

    return stretch
