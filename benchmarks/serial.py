"""What the first process does alone in each generation, while all others wait."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Scale
from benchmarks.report import Row
from worldmodels_repro.evolution.cma_es import CmaEs
from worldmodels_repro.storage import save_checkpoint, save_csv

WEIGHTS, POPULATION = 867, 64  # the paper's C and generation
GENERATIONS = 40


def serial(scale: Scale) -> list[Row]:
    """Seconds of a paper generation in ask, tell, log and checkpoint."""
    with tempfile.TemporaryDirectory() as scratch:
        seconds = serial_parts(scale.pick(GENERATIONS, 2), Path(scratch))
    return [Row("serial", round(sum(seconds.values()), 4), "s a generation, one process alone",
                details={"parts": seconds})]


def serial_parts(generations: int, run: Path,
                 mirror: Callable[[], object] | None = None) -> dict[str, float]:
    """Median seconds of each part, in a run folder of their own.

    Args:
        mirror: what puts the run's new state on its way to S3, for a run that has a copy there.
    """
    strategy = CmaEs(np.zeros(WEIGHTS), 0.1, POPULATION, 1)
    rng = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    spent: dict[str, list[float]] = {}

    def timed(part: str, work: Callable[[], Any]) -> Any:
        clock = time.perf_counter()
        result = work()
        spent.setdefault(part, []).append(time.perf_counter() - clock)
        return result

    for generation in range(generations):
        candidates = timed("ask", strategy.ask)  # (population, weights)
        fitness = rng.standard_normal(POPULATION)
        timed("tell", partial(strategy.tell, candidates, fitness))
        rows.append({"generation": generation, "best": 1.5, "mean": 0.5, "steps": 10})
        timed("log", lambda: save_csv(run / "evolve" / "generations.csv", rows))
        timed("checkpoint", lambda: save_checkpoint(run / "evolve" / "strategy.npz",
                                                    strategy.state()))
        if mirror is not None:
            timed("mirror", mirror)
            time.sleep(0.3)  # the upload is not in the way: it has the generation's time
    return {part: round(statistics.median(values), 5) for part, values in spent.items()}
