"""How large what enters each layer of V's encoder gets: the scale of its arithmetic in int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from worldmodels_repro.data.episodes import kept_episodes, load_episode
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.vae.vision import Vision
from worldmodels_repro.storage import load_npz, save_npz

FRAMES = 512  # to measure on
EPISODES = 32  # of the run's rollouts, where V was trained before there were ranges


def with_ranges(run: Path, vision: Vision, frames: np.ndarray | None = None) -> Vision:
    """V with ``encoder/ranges``, which are measured once and kept beside its weights.

    Args:
        run: the folder.
        vision: its V.
        frames: (N, 64, 64, 3) uint8 to measure on where V has changed; None: measured they were,
            or else it is done on the run's rollouts.

    Raises:
        UserError: there is nothing to measure on.
    """
    path = run / "vae" / "ranges.npz"
    if frames is None and not path.exists():
        frames = _frames(run)
    if frames is not None:
        save_npz(path, {"ranges": vision.ranges(frames[:FRAMES])})
    ranges = load_npz(path, ("ranges",))["ranges"]
    return Vision(vision.weights | {"encoder/ranges": ranges.astype(np.float32)}, vision.layers)


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
