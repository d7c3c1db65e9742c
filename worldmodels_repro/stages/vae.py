"""Stage 2: V learns to compress frames (section 2.2, appendix A.1).

Frames of training episodes are shuffled across episodes; whole episodes are held out, and the
weights of the epoch that scores best on them are V. After each epoch all that training needs
is on disk, so a run that was interrupted goes on with the next epoch, number for number.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from worldmodels_repro.data.episodes import (
    FRAMES,
    episode_lengths,
    kept_episodes,
    load_episode,
    split_episodes,
)
from worldmodels_repro.data.frame_pool import FramePool
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.frame import mirror_images
from worldmodels_repro.models.vae.layers import layers_named
from worldmodels_repro.models.vae.ranges import measure_ranges
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.progress import Progress
from worldmodels_repro.run import Run, load_marker
from worldmodels_repro.sections import Vae
from worldmodels_repro.seeds import episode_seed, generator
from worldmodels_repro.statistics import Means
from worldmodels_repro.storage import Arrays, link_or_copy, needed, save_npz
from worldmodels_repro.training.quiet import import_keras_quietly
from worldmodels_repro.training.rates import cooled

SHOWN = 8  # fixed held-out frames whose reconstructions are drawn each epoch


def run(stage_run: Run) -> None:
    """Train V for the epochs that are missing."""
    settings = stage_run.config.vae
    layers = layers_named(settings.layers)
    folder = stage_run.begin("vae")
    if folder is None:
        return
    if settings.epochs == 0:
        _take_over(stage_run, Path(str(settings.start)), folder)
        return
    if game_named(stage_run.config.game).mirrored is None:
        settings = settings.model_copy(update={"mirror": False})
    rollouts = stage_run.folder("rollouts")
    lengths = episode_lengths(rollouts, kept_episodes(rollouts), FRAMES,
                              stage_run.config.skip_bad_files)
    training, held_out = split_episodes(list(lengths), settings.validation, stage_run.config.seed)
    there_are = sum(lengths[name] for name in training)
    seed = episode_seed(stage_run.config.seed, "models", 2)
    load, frames = _thinned(rollouts, lengths, training, settings, seed)

    # Keras takes seconds to import: after everything that can be refused.
    import_keras_quietly()
    from worldmodels_repro.models.vae.vae import compiled_vae
    from worldmodels_repro.training.keras import usable_precision
    from worldmodels_repro.training.loop import fit, start_from

    settings = settings.model_copy(update={"precision": usable_precision(settings.precision)})
    vae = compiled_vae(settings, seed, layers)
    start_from(vae, "vae", settings.start)
    course = Frames(settings=settings, folder=folder, training=training, load=load, frames=frames,
                    validation=_validation_frames(rollouts, held_out, settings, seed), seed=seed)
    history = fit(stage_run, "vae", vae, course,
                  f"{there_are} frames of {len(training)} episodes, {len(course.validation)} "
                  f"held-out frames of {len(held_out)}")
    measure_ranges(stage_run.path, load_vision(stage_run.path, settings.layers), course.validation)
    stage_run.finish("vae", parameters=vae.count_params(), precision=settings.precision,
                     training_episodes=len(training), held_out_episodes=held_out,
                     training_frames=there_are,
                     best_val_loss=min(row["val_loss"] for row in history))


def _take_over(stage_run: Run, other: Path, folder: Path) -> None:
    """V of another run, as it is.

    Raises:
        UserError: there is none, or it has another size.
    """
    theirs, settings = STAGES["vae"].folder(other), stage_run.config.vae
    facts = load_marker(theirs).get("facts", {})
    size = load_vision(other, settings.layers).size
    if size != settings.z:
        raise UserError(f"V of {other} has {size} latent dimensions: set vae.z={size}")
    for name in STAGES["vae"].writes:
        link_or_copy(needed(theirs / name, "vae"), folder / name)
    stage_run.finish("vae", **facts)


class Frames:
    """A :class:`training.loop.Course` of frames, shuffled across episodes; a round is an epoch."""

    unit, every = "epoch", 1

    def __init__(self, *, settings: Vae, folder: Path, training: list[str],
                 load: Callable[[str], np.ndarray], frames: int, validation: np.ndarray, seed: int):
        self.total, self.validation = settings.epochs, validation
        self.counted = frames, "frames"
        self._settings, self._folder, self._seed = settings, folder, seed
        self._training, self._frames = training, frames
        self._pool = FramePool(load, settings.pool_mib)

    def train(self, model: Any, done: int, until: int, progress: Progress) -> dict[str, Any]:
        """One epoch."""
        settings, rng = self._settings, generator(self._seed, until)
        model.optimizer.learning_rate = cooled(settings.learning_rate, settings.cool,
                                               done / self.total)
        means, seen = Means(), 0
        for batch in self._pool.batches(self._training, min(settings.batch, self._frames), rng):
            if settings.mirror:
                turned = rng.random(len(batch)) < 0.5
                batch[turned] = mirror_images(batch[turned])
            noise = rng.standard_normal((len(batch), settings.z), np.float32)
            logs = model.train_on_batch((batch, noise), return_dict=True)
            means.add(logs, len(batch))
            seen += len(batch)
            progress.add(len(batch), f"loss {float(logs['loss']):.2f}")
            if seen + len(batch) > self._frames:
                break
        progress.add(self._frames - seen)  # the part of a batch that an epoch leaves out
        return dict(means.rounded(4))

    def validate(self, model: Any) -> dict[str, Any]:
        """Losses on the held-out frames, with the same noise at every epoch."""
        means, rng = Means(), generator(0)
        for first in range(0, len(self.validation), self._settings.batch):
            batch = self.validation[first:first + self._settings.batch]
            noise = rng.standard_normal((len(batch), self._settings.z), np.float32)
            means.add(model.test_on_batch((batch, noise), return_dict=True), len(batch))
        return dict(means.rounded(4, "val_"))

    def show(self, model: Any, row: dict[str, Any], best: bool) -> str:
        """Draw the reconstructions of a few held-out frames."""
        shown = _reconstructions(self._folder, row["epoch"], model, self.validation)
        if best:
            save_npz(self._folder / "reconstructions.npz", shown)
        return (f"loss {row['loss']:.2f}, held-out {row['val_loss']:.2f} (reconstruction "
                f"{row['val_reconstruction']:.2f}, KL {row['val_kl']:.2f})")


def _thinned(rollouts: Path, lengths: dict[str, int], training: list[str], settings: Vae,
             seed: int) -> tuple[Callable[[str], np.ndarray], int]:
    """How an episode's training frames are read, and how many an epoch has.

    Where ``settings.late`` asks for it, early frames are left out, each by a draw of its own that
    is the same in every epoch.
    """
    early = there_are = sum(lengths[name] for name in training)
    kept, first = 1.0, 0
    if settings.late is not None:
        first, share = settings.late
        early = sum(min(lengths[name], first) for name in training)
        late = there_are - early
        kept = min(1.0, late * (1 - share) / (share * early))
        if not late:
            raise UserError(f"no episode has a step {first}: lower the first number of vae.late")
    places = {name: number for number, name in enumerate(training)}

    def load(name: str) -> np.ndarray:
        frames = load_episode(rollouts, name, ("frames",))["frames"]
        if kept == 1.0:
            return frames
        chosen = generator(seed, 1, places[name]).random(len(frames)) < kept
        chosen[first:] = True
        return frames[chosen]

    frames = int(there_are - early + kept * early)
    return load, min(frames, settings.frames_per_epoch or frames)


def _validation_frames(rollouts: Path, held_out: list[str], settings: Vae,
                       seed: int) -> np.ndarray:
    """At most ``validation_frames`` of the held-out episodes, the same number of each."""
    share = max(1, settings.validation_frames // len(held_out))
    parts = []
    for number, name in enumerate(held_out):
        frames = load_episode(rollouts, name, ("frames",))["frames"]
        picked = generator(seed, 0, number).permutation(len(frames))[:share]
        parts.append(frames[np.sort(picked)])
    return np.concatenate(parts)[:settings.validation_frames]


def _reconstructions(folder: Path, epoch: int, vae: Any, validation: np.ndarray) -> Arrays:
    """Originals above reconstructions from the mean: drawn, and as arrays (8, 64, 64, 3)."""
    shown = validation[np.linspace(0, len(validation) - 1, SHOWN).astype(int)]
    mu, _ = vae.encode(shown)
    again = (np.asarray(vae.decode(mu)) * 255.0).round().astype(np.uint8)  # (8, 64, 64, 3)
    picture = np.concatenate([np.concatenate(list(row), axis=1) for row in (shown, again)])
    path = folder / "reconstructions" / f"epoch-{epoch:03d}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(picture).save(path)
    return {"originals": shown, "reconstructions": again}
