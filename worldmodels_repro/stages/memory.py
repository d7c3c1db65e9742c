"""Stage 4: M learns what comes next (section 2.3, appendix A.2).

Every batch draws its windows and its z = mu + sigma eps afresh, from a generator of its own
that is seeded by the step's number, so a run that was interrupted goes on with the same batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from worldmodels_repro.data.episodes import (
    LATENTS,
    episode_file,
    episode_lengths,
    first_posteriors,
    kept_episodes,
    load_episode,
    split_episodes,
)
from worldmodels_repro.data.sequences import Batch, Sequences
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.mdn_rnn.imagination import kept
from worldmodels_repro.run import Run
from worldmodels_repro.sections import Memory
from worldmodels_repro.seeds import episode_seed, generator
from worldmodels_repro.statistics import Means
from worldmodels_repro.storage import save_npz
from worldmodels_repro.training.quiet import import_keras_quietly
from worldmodels_repro.training.rates import cooled, decayed
from worldmodels_repro.training.windows import StepsOnWindows


def run(stage_run: Run) -> None:
    """Train M for the steps that are missing."""
    config = stage_run.config
    settings = config.memory
    folder = stage_run.begin("memory")
    if folder is None:
        return
    latents = stage_run.folder("latents")
    episodes = [name for name in kept_episodes(stage_run.folder("rollouts"))
                if not config.skip_bad_files or episode_file(latents, name).exists()]
    episodes = list(episode_lengths(latents, episodes, LATENTS, config.skip_bad_files))
    training, held_out = split_episodes(episodes, settings.validation, config.seed)
    game = game_named(config.game)
    mirrored = game.mirrored if settings.mirror else None
    arrays = (*LATENTS, "mirrored_mu", "mirrored_logvar") if mirrored else LATENTS
    read = {name: load_episode(latents, name, arrays) for name in episodes}
    told = game.told(settings.taken_actions)
    for episode in read.values():
        episode["actions"] = told(episode["actions"])
    sequences, validation = (
        Sequences([read[name] for name in part], settings.sequence, settings.restart_input,
                  settings.foresight, endings, mirrored)
        for part, endings in ((training, settings.endings), (held_out, 0.0)))
    save_npz(folder / "starts.npz", first_posteriors(read.values()))
    seed = episode_seed(config.seed, "models", 4)

    # Keras takes seconds to import: after everything that can be refused.
    import_keras_quietly()
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import compiled_mdn_rnn
    from worldmodels_repro.training.keras import usable_precision
    from worldmodels_repro.training.loop import fit, start_from

    settings = settings.model_copy(update={"precision": usable_precision(settings.precision)})
    memory = compiled_mdn_rnn(settings, config.vae.z, game.actions, seed)
    start_from(memory, "memory", settings.start)
    history = fit(stage_run, "memory", memory, Windows(settings, sequences, validation, seed),
                  f"{len(training)} episodes, {len(held_out)} held out")
    best_row = min(history, key=lambda row: row["val_loss"])
    stage_run.finish("memory", parameters=memory.count_params(), precision=settings.precision,
                     training_episodes=len(training), held_out_episodes=held_out,
                     **{f"best_{name}": best_row[name] for name in
                        ("val_loss", "val_done_recall", "val_done_precision")
                        if name in best_row})


class Windows(StepsOnWindows):
    """A :class:`training.loop.Course` of windows of episodes; a round ends with a validation."""

    def __init__(self, settings: Memory, training: Sequences, validation: Sequences, seed: int):
        super().__init__(settings, lambda step: training, seed)
        self._settings, self._validation = settings, validation

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        settings = self._settings
        return cooled(decayed(settings.learning_rate, settings.decay, settings.min_learning_rate,
                              step), settings.cool, step / self.total)

    def prepared(self, inputs: np.ndarray, targets: dict[str, np.ndarray], model: Any,
                 step: int) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Inputs without the part of z and h that each window does without, and adrift in some."""
        dropout, z, count = self._settings.dropout, model.head.z, len(inputs)
        masks = None
        if dropout:
            rng = generator(self._seed, step, 1)
            masks = kept(rng, dropout, (count, z)), kept(rng, dropout, (count, model.lstm.units))
            inputs[:, :, :z] *= masks[0][:, None]
        if some := round(self._settings.adrift * count):
            self._drift(inputs[:some], targets, model, masks, generator(self._seed, step, 2))
        return inputs if masks is None else (inputs, masks[1])

    def _drift(self, inputs: np.ndarray, targets: dict[str, np.ndarray], model: Any,
               masks: tuple[np.ndarray, np.ndarray] | None, rng: np.random.Generator) -> None:
        """The first windows of a batch, adrift from a step on that is another for each.

        Where z is M's own the next z is not to be learnt: the game went on from another.
        """
        from worldmodels_repro.models.mdn_rnn.adrift import drift

        some, T, _ = inputs.shape
        starts = rng.integers(T - 1, size=some)
        # A drift ends with its episode: there is no next latent, and then a restart or nothing.
        ends = (targets["next_valid"][:some] == 0) & (np.arange(T) >= starts[:, None])
        last = np.where(ends.any(axis=1), ends.argmax(axis=1), T - 1)
        own = drift(model, inputs, starts, last, self._settings.adrift_steps, rng,
                    masks and (masks[0][:some], masks[1][:some]))
        targets["next_valid"][:some][own] = 0.0

    def validate(self, model: Any) -> dict[str, Any]:
        """Held-out losses, with the same draws every time."""
        batches = self._validation.in_order(self._settings.batch, generator(self._seed))
        return validate(model, batches, self._settings.done)

    def show(self, model: Any, row: dict[str, Any], best: bool) -> str:
        """The losses in words."""
        return f"loss {row['loss']:.4f}, held-out {row['val_loss']:.4f}{_deaths(row)}"


def validate(memory: Any, batches: Any, has_done: bool) -> dict[str, float | None]:
    """Held-out losses; for the ending head also recall and precision at logit > 0.

    An episode ends once: a dream that ends is one whose logit was above 0 at that very step.
    """
    means = Means()
    hits = ends = alarms = 0.0
    batch: Batch
    for batch in batches:
        inputs, targets = batch
        means.add(memory.test_on_batch(inputs, targets, return_dict=True), targets["valid"].sum())
        if has_done:
            _, _, _, done, _ = memory.split(memory.predict_on_batch(inputs))
            alarm = (np.asarray(done) > 0) & (targets["valid"] > 0)
            hits += float((alarm * targets["done"]).sum())
            ends += float(targets["done"].sum())
            alarms += float(alarm.sum())
    row: dict[str, float | None] = {**means.rounded(5, "val_")}
    if has_done:
        row |= {"val_done_recall": round(hits / ends, 4) if ends else None,
                "val_done_precision": round(hits / alarms, 4) if alarms else None}
    return row


def _deaths(row: dict[str, Any]) -> str:
    if "val_done_recall" not in row:
        return ""
    return f", endings: recall {row['val_done_recall']}, precision {row['val_done_precision']}"
