"""Stage 8: a network learns to predict frames, one step ahead and then on from there.

It stands beside V and M: rollouts are all that it needs. Every batch draws its windows from a
generator that is seeded by the step's number, so a run that was interrupted goes on with the same
batches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from worldmodels_repro.data.clips import Clips, shrunk
from worldmodels_repro.data.episodes import (
    FRAMES,
    episode_lengths,
    kept_episodes,
    load_episode,
    split_episodes,
)
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.weights import load_weights, set_weights
from worldmodels_repro.records import ManifestLine
from worldmodels_repro.run import Run
from worldmodels_repro.sections import Forward
from worldmodels_repro.seeds import episode_seed, generator
from worldmodels_repro.statistics import Means
from worldmodels_repro.storage import Arrays, load_json_lines, save_npz
from worldmodels_repro.training.quiet import import_keras_quietly
from worldmodels_repro.training.windows import StepsOnWindows

KEPT = 100  # held-out episodes whose beginnings are kept, for dreams to start from


def run(stage_run: Run) -> None:
    """Train the network for the steps that are missing."""
    config, settings = stage_run.config, stage_run.config.forward
    game = game_named(config.game)
    if settings.context == "serve" and game.serve is None:
        raise UserError(f"{game.name} has no serve: set forward.context to 1, 2 or 3")
    rollouts = stage_run.folder("rollouts")
    _refuse_short(rollouts, settings)
    folder = stage_run.begin("forward")
    if folder is None:
        return
    lengths = episode_lengths(rollouts, kept_episodes(rollouts), FRAMES, config.skip_bad_files)
    training, held_out = split_episodes(list(lengths), settings.validation, config.seed)
    read = _episodes(rollouts, list(lengths), settings, game)
    _keep_contexts(folder, rollouts, {name: read[name] for name in held_out[:KEPT]}, settings)
    clips, validation = (
        Clips([read[name] for name in part], settings.seen, settings.sequence,
              settings.context == "serve", settings.compared) for part in (training, held_out))
    seed = episode_seed(config.seed, "models", 8)

    # Keras takes seconds to import: after everything that can be refused.
    import_keras_quietly()
    from worldmodels_repro.models.forward.export import programs
    from worldmodels_repro.models.forward.registry import compiled_network
    from worldmodels_repro.training.loop import fit, start_from

    network = compiled_network(settings, game.actions, seed)
    start_from(network, "forward", settings.start)
    history = fit(stage_run, "forward", network, Steps(settings, clips, validation, seed),
                  f"{settings.network}, {len(training)} episodes, {len(held_out)} held out")
    best = folder / "weights.npz"
    set_weights(network, load_weights(best), str(best))
    save_npz(folder / "programs.npz",
             programs(network) | {"actions": np.array(game.actions)})
    stage_run.finish("forward", parameters=network.count_params(),
                     training_episodes=len(training), held_out_episodes=held_out,
                     best_val_loss=min(row["val_loss"] for row in history))


class Steps(StepsOnWindows):
    """A :class:`training.loop.Course` of windows of frames; a round ends with a validation."""

    counts = "next_valid"
    digits = 6

    def __init__(self, settings: Forward, training: Clips, validation: Clips, seed: int):
        super().__init__(settings, training, seed)
        self._settings, self._validation = settings, validation

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self._settings.learning_rate / (1 + step // self._settings.divide_every)

    def prepared(self, inputs: Any, model: Any, step: int) -> Any:
        """A step's inputs; what the model leaves out comes from the step's number, too."""
        model.seed_dropout(self._seed, step)
        return inputs

    def validate(self, model: Any) -> dict[str, Any]:
        """Held-out losses, of the same windows and steps every time."""
        means = Means()
        for inputs, targets in self._validation.in_order(self._settings.batch,
                                                         generator(self._seed)):
            means.add(model.test_on_batch(inputs, targets, return_dict=True),
                      targets["next_valid"].sum())
        return dict(means.rounded(6, "val_"))

    def show(self, model: Any, row: dict[str, Any], best: bool) -> str:
        """The losses in words."""
        return (f"loss {row['loss']:.4f}, held-out {row['val_loss']:.4f} (squared error "
                f"{row['val_mse']:.5f})")


def _refuse_short(rollouts: Path, settings: Forward) -> None:
    """Refuse episodes that end within the context; before the stage begins, so that it can."""
    for line in load_json_lines(rollouts / "manifest.jsonl", ManifestLine):
        if line["kept"] and line["length"] <= settings.seen:
            raise UserError(f"forward.context={settings.context} leaves nothing to predict of "
                            f"{line['episode']}, an episode of {line['length']} frame(s): lower "
                            f"it, or collect again with --set rollouts.min_steps="
                            f"{settings.seen + 1} under another --run")


def _episodes(rollouts: Path, names: list[str], settings: Forward,
              game: Game) -> dict[str, Arrays]:
    """What training needs of each episode, in memory."""
    seeds = {line["episode"]: line["seed"] for line in
             load_json_lines(rollouts / "manifest.jsonl", ManifestLine)}
    read = {}
    for name in names:
        episode = load_episode(rollouts, name)
        told = settings.context == "serve" and game.serve is not None
        read[name] = episode | {
            "frames": shrunk(episode["frames"], settings.side),
            "actions": game.taken(episode["actions"]),
            "serve": game.serve(seeds[name]) if told and game.serve else np.zeros(2, np.float32)}
    return read


def _keep_contexts(folder: Path, rollouts: Path, episodes: dict[str, Arrays],
                   settings: Forward) -> None:
    """Write how held-out episodes begin: a run without its rollouts can be dreamt in."""
    seen = settings.seen
    first = [load_episode(rollouts, name, ("frames", "actions")) for name in episodes]
    save_npz(folder / "contexts.npz", {
        "frames": np.stack([episode["frames"][:seen] for episode in first]),
        "actions": np.stack([episode["actions"][:seen - 1] for episode in first]),
        "serve": np.stack([episode["serve"] for episode in episodes.values()])})
