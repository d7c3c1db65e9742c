"""What durability costs, and what one rank does while all others wait."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest import mock

import boto3
from moto.server import ThreadedMotoServer

from benchmarks.serial import POPULATION, serial_parts
from worldmodels_repro.remote.mirror import Mirror

ROLLOUTS, STEPS = 16, 1000  # the paper's generation
STEPS_PER_SECOND = 4000.0  # of one core's loop, python -m benchmarks loop


def cost(times: int) -> dict[str, object]:
    """Median seconds of a generation's serial parts over ``times`` generations."""
    moto = ThreadedMotoServer(port=0, verbose=False)
    moto.start()
    environment = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{moto.get_host_and_port()[1]}",
                   "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "not-a-secret",
                   "AWS_DEFAULT_REGION": "us-east-1"}
    with mock.patch.dict(os.environ, environment), tempfile.TemporaryDirectory() as scratch:
        boto3.client("s3").create_bucket(Bucket="runs")
        mirror = Mirror(Path(scratch), "s3://runs/cost")
        medians = serial_parts(times, Path(scratch), lambda: mirror.checkpoint("evolve"))
        mirror.close()
    moto.stop()
    serial = sum(medians.values())
    work = POPULATION * ROLLOUTS * STEPS / STEPS_PER_SECOND  # core-seconds a generation
    return {"name": "cost", "generations": times, "seconds": medians,
            "serial seconds": round(serial, 4),
            "durability, share of a generation on 2 cores": round(
                (medians["checkpoint"] + medians["mirror"] + medians["log"]) / (work / 2), 5),
            "efficiency that the serial part allows": {
                str(ranks): round(work / ranks / (work / ranks + serial), 4)
                for ranks in (2, 64, 1024)}}
