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
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.frame import mirror_images
from worldmodels_repro.models.contracts import Representation
from worldmodels_repro.models.encoding import Encoding
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.pool import Pool
from worldmodels_repro.progress import Progress
from worldmodels_repro.run import MIRRORED, Run, load_run
from worldmodels_repro.storage import Arrays, link_or_copy, load_npz, save_npz


@dataclass(frozen=True, kw_only=True)
class Job:
    """Where episodes lie, where latents go, and V."""

    rollouts: Path
    latents: Path
    vision: Representation
    mirror: bool

    def __call__(self) -> Encodes:
        """A worker."""
        return Encodes(self)


def run(stage_run: Run) -> None:
    """Encode the episodes whose latents are missing."""
    folder = stage_run.begin("latents")
    if folder is None:
        return
    rollouts = stage_run.folder("rollouts")
    episodes = kept_episodes(rollouts)
    if stage_run.config.skip_bad_files:
        episodes = list(episode_lengths(rollouts, episodes, FRAMES, skip_bad=True))
    _take_over(stage_run, folder)
    vision = load_vision(stage_run.path, stage_run.config.vae.layers).only_encoder()
    job = Job(rollouts=rollouts, latents=folder, vision=vision,
              mirror=(stage_run.config.vae.mirror
                      and game_named(stage_run.config.game).mirrored is not None))
    waiting = [name for name in episodes if not _is_whole(episode_file(folder, name))]
    with (Progress("latents", len(episodes), "episodes", len(episodes) - len(waiting)) as progress,
          Pool(job, stage_run.config.evolve.workers,
               stage_run.config.evolve.hang_after) as pool):
        for _ in pool.map(waiting):
            stage_run.checkpoint("latents", every=MIRRORED)
            progress.add()
    stage_run.finish("latents", episodes=len(episodes))


def _take_over(stage_run: Run, folder: Path) -> None:
    """Latents of the episodes that were kept, where V is still that which made them."""
    config = stage_run.config
    if config.vae.epochs or config.vae.start != config.rollouts.keep:
        return
    other = load_run(Path(str(config.vae.start)))
    if not other.is_done("latents") or other.config.vae.mirror != config.vae.mirror:
        return
    for name in kept_episodes(other.folder("rollouts")):
        theirs = episode_file(other.folder("latents"), name)
        if theirs.exists() and not episode_file(folder, name).exists():
            link_or_copy(theirs, episode_file(folder, name))


def _is_whole(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        load_npz(path)
    except UserError:
        return False
    return True


class Encodes:
    """A worker: encodes an episode and writes its latents."""

    def __init__(self, job: Job):
        self._job, self._encoding = job, Encoding(job.vision)

    def __call__(self, name: str) -> None:
        """The episode of this name."""
        episode = load_episode(self._job.rollouts, name)
        frames = episode.pop("frames")
        views = {"": frames} | ({"mirrored_": mirror_images(frames)} if self._job.mirror else {})
        latents: Arrays = {}
        for prefix, view in views.items():
            for part, array in zip(("mu", "logvar"), self._encoding.posteriors(view), strict=True):
                latents[prefix + part] = array.astype(np.float16)  # (T, z)
        save_npz(episode_file(self._job.latents, name), latents | episode)
