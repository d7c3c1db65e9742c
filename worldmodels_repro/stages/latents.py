"""Stage 3: every episode as V sees it (section 2.3: M is trained on pre-processed latents).

mu and log sigma^2 are kept, not a sample, so that M's training can draw z anew for every batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worldmodels_repro.data.episodes import (
    FRAMES,
    episode_file,
    episode_lengths,
    kept_episodes,
    load_episode,
)
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.runtime import Encoder
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.pool import Pool
from worldmodels_repro.progress import Progress
from worldmodels_repro.run import MIRRORED, Run
from worldmodels_repro.storage import Arrays, load_npz, save_npz

BATCH = 50  # frames an encoder call: episodes of 1,000 steps divide by it


@dataclass(frozen=True)
class Encoding:
    """What a worker needs: where episodes lie, where latents go, V's encoder."""

    rollouts: Path
    latents: Path
    weights: Arrays


def run(stage_run: Run) -> None:
    """Encode the episodes whose latents are missing."""
    folder = stage_run.begin("latents")
    if folder is None:
        return
    rollouts = stage_run.folder("rollouts")
    episodes = kept_episodes(rollouts)
    if stage_run.config.skip_bad_files:
        episodes = list(episode_lengths(rollouts, episodes, FRAMES, skip_bad=True))
    weights = load_weights(stage_run.folder("vae") / "weights.npz")
    encoding = Encoding(rollouts, folder, {name: array for name, array in weights.items()
                                           if name.startswith("encoder/")})
    waiting = [name for name in episodes if not _is_whole(episode_file(folder, name))]
    with (Progress("latents", len(episodes), "episodes", len(episodes) - len(waiting)) as progress,
          Pool(stage_run.config.evolve.workers, _prepare, (encoding,),
                stage_run.config.evolve.hang_after) as pool):
        for _ in pool.map(_encode, waiting):
            stage_run.checkpoint("latents", every=MIRRORED)
            progress.add()
    stage_run.finish("latents", episodes=len(episodes))


def _is_whole(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        load_npz(path)
    except UserError:
        return False
    return True


_encoding: Encoding
_encoder: Encoder


def _prepare(encoding: Encoding) -> None:
    global _encoding, _encoder
    _encoding, _encoder = encoding, Encoder(encoding.weights, BATCH)


def _encode(name: str) -> None:
    """Encode one episode and write its latents."""
    episode = load_episode(_encoding.rollouts, name)
    frames = episode.pop("frames")
    padded = np.zeros((BATCH, 64, 64, 3), np.uint8)
    mus, logvars = [], []
    for first in range(0, len(frames), BATCH):
        part = frames[first:first + BATCH]
        padded[:len(part)] = part
        mu, logvar = _encoder.encode(padded)
        mus.append(mu[:len(part)].astype(np.float16))
        logvars.append(logvar[:len(part)].astype(np.float16))
    save_npz(episode_file(_encoding.latents, name), {
        "mu": np.concatenate(mus),  # (T, z)
        "logvar": np.concatenate(logvars),  # (T, z)
        **episode,
    })
