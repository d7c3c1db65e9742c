"""What durability costs, and what one rank does while all others wait."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import boto3
import numpy as np
from moto.server import ThreadedMotoServer

from worldmodels_repro.evolution.strategy import Strategy
from worldmodels_repro.remote.mirror import Mirror
from worldmodels_repro.storage import save_checkpoint, save_csv

WEIGHTS, POPULATION, ROLLOUTS, STEPS = 867, 64, 16, 1000  # the paper's generation
STEPS_PER_SECOND = 4000.0  # of one core's loop, python -m benchmarks loop


def cost(times: int) -> dict[str, object]:
    """Median seconds of a generation's serial parts over ``times`` generations."""
    moto = ThreadedMotoServer(port=0, verbose=False)
    moto.start()
    environment = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{moto.get_host_and_port()[1]}",
                   "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "not-a-secret",
                   "AWS_DEFAULT_REGION": "us-east-1"}
    spent: dict[str, list[float]] = {"ask": [], "tell": [], "log": [], "checkpoint": [],
                                     "mirror": []}

    def timed(part: str, work: Callable[[], object]) -> object:
        clock = time.perf_counter()
        result = work()
        spent[part].append(time.perf_counter() - clock)
        return result

    strategy = Strategy(np.zeros(WEIGHTS), 0.1, POPULATION, 1)
    rng, rows = np.random.default_rng(1), []
    with mock.patch.dict(os.environ, environment), tempfile.TemporaryDirectory() as scratch:
        boto3.client("s3").create_bucket(Bucket="runs")
        run = Path(scratch)
        mirror = Mirror(run, "s3://runs/cost")
        for generation in range(times):
            candidates = timed("ask", strategy.ask)
            assert isinstance(candidates, np.ndarray)
            timed("tell", lambda c=candidates: strategy.tell(c, rng.standard_normal(POPULATION)))
            rows.append({"generation": generation, "best": 1.5, "mean": 0.5, "steps": 10})
            timed("log", lambda: save_csv(run / "evolve" / "generations.csv", rows))
            timed("checkpoint", lambda: save_checkpoint(run / "evolve" / "strategy.npz",
                                                        strategy.state()))
            timed("mirror", lambda: mirror.checkpoint("evolve"))
            time.sleep(0.3)  # the upload is not in the way: it has the generation's time
        mirror.close()
    moto.stop()
    medians = {part: round(statistics.median(values), 5) for part, values in spent.items()}
    serial = sum(medians.values())
    work = POPULATION * ROLLOUTS * STEPS / STEPS_PER_SECOND  # core-seconds a generation
    return {"name": "cost", "generations": times, "seconds": medians,
            "serial seconds": round(serial, 4),
            "durability, share of a generation on 2 cores": round(
                (medians["checkpoint"] + medians["mirror"] + medians["log"]) / (work / 2), 5),
            "efficiency that the serial part allows": {
                str(ranks): round(work / ranks / (work / ranks + serial), 4)
                for ranks in (2, 64, 1024)}}
