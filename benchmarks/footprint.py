"""Memory: of one worker that evolves C, and of V's training on more frames than fit."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from benchmarks.bodies import body, controllers
from benchmarks.loop import SLOTS
from benchmarks.measure import Scale, in_process, peak_mib
from benchmarks.report import Row
from worldmodels_repro.cores import usable_cores
from worldmodels_repro.data.frame_pool import FRAME_BYTES, FramePool
from worldmodels_repro.evolution.players import Players, WorldSpec
from worldmodels_repro.sections import Vae
from worldmodels_repro.training.quiet import import_keras_quietly

EPISODE = 1000  # frames
TRAIN_EVERY = 100  # batches drawn for each that is trained on


def worker_memory(scale: Scale) -> list[Row]:
    """MB resident in the largest worker, each with its world of 16 games, after its episodes."""
    shares = in_process(_workers, scale.pick(1000, 10), one_core=False)
    largest = max(shares, key=lambda share: share["rss_mb"])
    return [Row("worker_memory", largest["rss_mb"], "MB resident (RSS)",
                details={"workers": shares})]


def vae_stream(scale: Scale) -> list[Row]:
    """Peak MiB of a process that trains V on 3.7 GB of frames through the default pool."""
    episodes = scale.pick(300, 2)
    peak, seconds, seen, trained = in_process(_stream, episodes, one_core=False)
    raw = episodes * EPISODE * FRAME_BYTES / 2**20
    return [Row("vae_stream", peak, "MiB at the peak", raw, "MiB of frames", peak / raw,
                details={"pool_mib": Vae().pool_mib, "frames_drawn": seen,
                         "batches_trained": trained, "seconds": seconds})]


def _workers(steps: int) -> list[dict[str, float]]:
    agent = body("bf16")
    cores = usable_cores()
    with Players(WorldSpec(agent, "fast", SLOTS), 0, SLOTS) as players:
        drivers = controllers(SLOTS * cores, agent.shape.weights, 0)
        players.play(drivers, np.arange(len(drivers)), list(range(len(drivers))), steps)
        # The workers are this process's children; so is multiprocessing's resource tracker,
        # which holds no world.
        tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
        children = {int(pid) for task in tasks for pid in (task / "children").read_text().split()}
        shares = [_shares(pid) for pid in children]
    return sorted(shares, key=lambda share: -share["rss_mb"])[:cores]


def _shares(pid: int) -> dict[str, float]:
    """RSS counts every resident page; PSS splits those that processes share among them."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        sizes[name] = int(rest.split()[0]) * 1024 / 1e6  # the kernel says kB and means KiB
    return {"rss_mb": round(sizes["Rss"], 1), "pss_mb": round(sizes["Pss"], 1)}


def _stream(episodes: int) -> tuple[float, float, int, int]:
    """An epoch's draws; training on each of them would take minutes and no more memory."""
    import_keras_quietly()
    from worldmodels_repro.models.vae.vae import compiled_vae

    settings = Vae(precision="mixed_bfloat16")
    vae = compiled_vae(settings, 0)
    pool = FramePool(_episode, settings.pool_mib)
    names = [str(number) for number in range(episodes)]
    rng = np.random.default_rng(0)
    start, seen, trained = time.perf_counter(), 0, 0
    for number, batch in enumerate(pool.batches(names, settings.batch, rng)):
        seen += len(batch)
        if number % TRAIN_EVERY == 0:
            vae.train_on_batch((batch, rng.standard_normal((len(batch), settings.z), np.float32)))
            trained += 1
    return peak_mib(), time.perf_counter() - start, seen, trained


def _episode(name: str) -> np.ndarray:
    """A gradient that moves, (EPISODE, 64, 64, 3) uint8: every page of it is written."""
    ramp = (np.arange(FRAME_BYTES) % 256).astype(np.uint8)
    shift = (np.arange(int(name), int(name) + EPISODE) % 256).astype(np.uint8)
    return (ramp + shift[:, None]).reshape(EPISODE, 64, 64, 3)  # wraps at 256
