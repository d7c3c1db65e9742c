"""Mirror an evolving run through a network that fails, until enough has failed; compare."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import boto3
import numpy as np
from moto.server import ThreadedMotoServer

from benchmarks.reliability.compare import difference
from benchmarks.reliability.faulty_proxy import FaultyProxy, now_and_then
from worldmodels_repro.remote.lease import NAME
from worldmodels_repro.remote.mirror import Mirror
from worldmodels_repro.storage import append_json_line, save_checkpoint

URL = "s3://runs/soak"
SHARE = 0.25  # of the requests that meet a fault
LARGEST = 20 << 20  # bytes: three parts


def s3(times: int, seed: int = 1) -> dict[str, object]:
    """Inject ``times`` faults; says what was lost or doubled."""
    moto = ThreadedMotoServer(port=0, verbose=False)
    moto.start()
    port = moto.get_host_and_port()[1]
    proxy = FaultyProxy(port, lambda method, path: None)
    environment = {"AWS_ENDPOINT_URL": proxy.url, "AWS_ACCESS_KEY_ID": "key",
                   "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_DEFAULT_REGION": "us-east-1"}
    lost, pulls = [], 0
    rng = np.random.default_rng(seed)
    with mock.patch.dict(os.environ, environment), tempfile.TemporaryDirectory() as scratch:
        boto3.client("s3").create_bucket(Bucket="runs")
        here = Path(scratch) / "here"
        proxy.choose = now_and_then(seed, SHARE)
        generation = 0
        while sum(proxy.done.values()) < times:
            mirror = Mirror(here, URL)
            for _ in range(5):
                generation += 1
                size = int(rng.integers(1, LARGEST // 8 if generation % 5 else LARGEST // 8 * 8))
                save_checkpoint(here / "evolve" / "strategy.npz",
                                {"x": rng.standard_normal(max(1, size // 8))})
                append_json_line(here / "evolve" / "evaluations.jsonl", {"generation": generation})
                mirror.checkpoint("evolve")
                time.sleep(0.2)
            mirror.close(600)
            there = Path(scratch) / f"there-{generation}"
            other = Mirror(there, URL)
            other.pull(["evolve"])
            other.close(600)
            pulls += 1
            if (unlike := difference(here / "evolve", there / "evolve")) is not None:
                lost.append(f"generation {generation}: {unlike}")
            print(f"{sum(proxy.done.values())} faults, {generation} generations, {pulls} pulls",
                  file=sys.stderr, flush=True)
        proxy.choose = lambda method, path: None
        client = boto3.client("s3")
        keys = Counter(item["Key"] for item in client.list_objects_v2(Bucket="runs")["Contents"])
        uploads = client.list_multipart_uploads(Bucket="runs").get("Uploads", [])
    proxy.stop()
    moto.stop()
    extra = sorted(set(keys) - {f"soak/evolve/{name}" for name in
                                ("strategy.npz", "evaluations.jsonl")} - {f"soak/{NAME}"})
    return {"name": "s3", "faults": dict(proxy.done), "injected": sum(proxy.done.values()),
            "generations": generation, "pulls elsewhere": pulls, "lost or different": lost,
            "objects that should not be there": extra, "half uploads": len(uploads)}
