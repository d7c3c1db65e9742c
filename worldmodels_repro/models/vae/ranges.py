"""How large what enters each layer of V's encoder gets: the scale of its arithmetic in int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from worldmodels_repro.data.episodes import kept_episodes, load_episode
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.vae.programs import largest_inputs
from worldmodels_repro.models.vae.vision import Vision
from worldmodels_repro.storage import load_npz, save_npz

FRAMES = 512  # to measure on
EPISODES = 32  # of the run's rollouts, where V was trained before there were ranges


def measure_ranges(run: Path, vision: Vision, frames: np.ndarray) -> None:
    """Keep V's ranges on frames (N, 64, 64, 3) uint8 beside its weights."""
    ranges = largest_inputs(vision.weights, frames[:FRAMES], vision.layers)
    save_npz(_file(run), {"ranges": ranges})


def with_ranges(run: Path, vision: Vision) -> Vision:
    """V with ``encoder/ranges``, as its training measured them, or else on the run's rollouts.

    Raises:
        UserError: there is nothing to measure on.
    """
    if not _file(run).exists():
        measure_ranges(run, vision, _frames(run))
    ranges = load_npz(_file(run), ("ranges",))["ranges"]
    return Vision(vision.weights | {"encoder/ranges": ranges.astype(np.float32)}, vision.layers)


def _file(run: Path) -> Path:
    return run / "vae" / "ranges.npz"


def _frames(run: Path) -> np.ndarray:
    """(N, 64, 64, 3) uint8 from all over the run's rollouts."""
    rollouts = run / "rollouts"
    if not (rollouts / "manifest.jsonl").exists():
        raise UserError(f"{run} has neither vae/ranges.npz nor rollouts to measure V's ranges on: "
                        "set evolve.precision=f32")
    names = kept_episodes(rollouts)
    names = names[::-(-len(names) // EPISODES)]
    episodes = [load_episode(rollouts, name, ("frames",))["frames"] for name in names]
    return np.concatenate([frames[::-(-len(frames) * len(names) // FRAMES)]
                           for frames in episodes])
