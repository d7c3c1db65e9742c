"""Stage 4: a network learns to predict frames, one step ahead and then on from there.

It stands beside V and M: rollouts are all that it needs, or, with ``forward.fresh``, the game.
Every batch draws its windows from a generator that is seeded by the step's number, and the episodes
to draw them from follow from that number too, so a run that was interrupted goes on with the same
batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from worldmodels_repro.config import Config
from worldmodels_repro.data.clips import Clips, shrunk
from worldmodels_repro.data.episodes import (
    FRAMES,
    episode_lengths,
    kept_episodes,
    load_episode,
    split_episodes,
)
from worldmodels_repro.data.fresh import Fresh
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.weights import load_weights, set_weights
from worldmodels_repro.pool import Pool
from worldmodels_repro.records import ManifestLine
from worldmodels_repro.run import Run
from worldmodels_repro.sections import Forward
from worldmodels_repro.seeds import episode_seed, generator
from worldmodels_repro.stages.rollouts import (
    Collects,
    Episode,
    Gathering,
    Plays,
    gathering_of,
)
from worldmodels_repro.statistics import Means
from worldmodels_repro.storage import Arrays, append_json_line, load_json_lines, save_npz
from worldmodels_repro.training.quiet import import_keras_quietly
from worldmodels_repro.training.windows import StepsOnWindows

KEPT = 100  # held-out episodes whose beginnings are kept, for dreams to start from
FRESH = 8  # of the seeds of fresh episodes: no other draws have it


def run(stage_run: Run) -> None:
    """Train the network for the steps that are missing."""
    config, settings = stage_run.config, stage_run.config.forward
    game = game_named(config.game)
    if settings.context == "serve" and game.serve is None:
        raise UserError(f"{game.name} has no serve: set forward.context to 1, 2 or 3")
    gathering = None if settings.fresh is None else _gathering(config)
    if gathering is None:
        _refuse_short(stage_run.folder("rollouts"), settings)
    folder = stage_run.begin("forward")
    if folder is None:
        return
    rollouts = stage_run.folder("rollouts") if gathering is None else folder / "held_out"
    if gathering is not None:
        _hold_out(gathering, rollouts, config)
    names = list(episode_lengths(rollouts, kept_episodes(rollouts), FRAMES,
                                 config.skip_bad_files))
    training, held_out = (split_episodes(names, settings.validation, config.seed)
                          if gathering is None else ([], names))
    read = _episodes(rollouts, names, settings, game)
    _keep_contexts(folder, rollouts, {name: read[name] for name in held_out[:KEPT]}, settings)
    validation = _clips([read[name] for name in held_out], settings)
    seed = episode_seed(config.seed, "models", 8)

    # Keras takes seconds to import: after everything that can be refused.
    import_keras_quietly()
    from worldmodels_repro.models.forward.export import programs
    from worldmodels_repro.models.forward.registry import compiled_network
    from worldmodels_repro.training.loop import fit, start_from

    network = compiled_network(settings, game.actions, seed)
    start_from(network, "forward", settings.start)
    if gathering is None:
        stored = _clips([read[name] for name in training], settings)
        source: AbstractContextManager[Callable[[int], Clips]] = nullcontext(lambda step: stored)
        count, said = len(training), f"{len(training)} episodes"
    else:
        source = _stream(gathering, config)
        count, said = _played(settings), f"{settings.fresh} fresh episodes at a time"
    with source as clips:
        history = fit(stage_run, "forward", network, Steps(settings, clips, validation, seed),
                      f"{settings.network}, {said}, {len(held_out)} held out")
    best = folder / "weights.npz"
    set_weights(network, load_weights(best), str(best))
    save_npz(folder / "programs.npz",
             programs(network) | {"actions": np.array(game.actions)})
    stage_run.finish("forward", parameters=network.count_params(),
                     training_episodes=count, held_out_episodes=held_out,
                     best_val_loss=min(row["val_loss"] for row in history))


class Steps(StepsOnWindows):
    """A :class:`training.loop.Course` of windows of frames; a round ends with a validation."""

    counts = "next_valid"
    digits = 6

    def __init__(self, settings: Forward, training: Callable[[int], Clips],
                 validation: Clips, seed: int):
        super().__init__(settings, training, seed)
        self._settings, self._validation = settings, validation

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self._settings.learning_rate / (1 + step // self._settings.divide_every)

    def prepared(self, inputs: Any, targets: Any, model: Any, step: int) -> Any:
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


def _gathering(config: Config) -> Gathering:
    """Who plays fresh episodes; shorter ones than the context and a frame to predict are left."""
    gathering, least = gathering_of(config), config.forward.seen + 1
    settings = gathering.settings
    if settings.max_steps < least:
        raise UserError(f"forward.context={config.forward.context} leaves nothing to predict of "
                        f"episodes of {settings.max_steps} steps: raise rollouts.max_steps")
    return replace(gathering, settings=settings.model_copy(
        update={"min_steps": max(settings.min_steps, least)}))


def _fresh(gathering: Gathering, seed: int, held_out: bool, number: int) -> Episode:
    """An episode of the stream, or of those that are held out: of all draws of its own."""
    key = (FRESH, int(held_out), number)
    counts = gathering.settings.policies
    names = sorted(counts)
    shares = np.array([counts[name] for name in names]) / sum(counts.values())
    return Episode(str(generator(seed, *key).choice(names, p=shares)), number,
                   episode_seed(seed, "rollouts", *key))


def _hold_out(gathering: Gathering, folder: Path, config: Config) -> None:
    """Write the episodes that validate: as many as would be held out of those at a time."""
    count = max(1, round(config.forward.validation * (config.forward.fresh or 0)))
    folder.mkdir(exist_ok=True)
    manifest = folder / "manifest.jsonl"
    done = {line["episode"] for line in load_json_lines(manifest, ManifestLine)}
    episodes = [_fresh(gathering, config.seed, True, number) for number in range(count)]
    collects = Collects(gathering, folder)  # few enough to do without workers
    for episode in episodes:
        if episode.name not in done:
            append_json_line(manifest, collects(episode))


@contextmanager
def _stream(gathering: Gathering, config: Config) -> Iterator[Callable[[int], Clips]]:
    """Workers at play, and a step's number -> what its windows are drawn from."""
    settings = config.forward
    game = game_named(config.game)
    longest = min(gathering.settings.max_steps, game.max_steps)
    with Pool(partial(PlaysFresh, gathering, settings, config.seed), config.evolve.workers,
              config.evolve.hang_after, game.own) as pool:
        fresh = Fresh(pool, settings.fresh or 0, settings.renew, _rounds(settings))

        def clips(step: int) -> Clips:
            episodes = fresh.of_round(step // settings.validate_every)
            if not episodes:
                raise UserError(f"none of {settings.fresh} fresh episodes lasts "
                                f"{gathering.settings.min_steps} steps: lower rollouts.min_steps, "
                                "or raise forward.fresh")
            return _clips(episodes, settings, longest)

        yield clips


def _rounds(settings: Forward) -> int:
    return -(-settings.steps // settings.validate_every)


def _played(settings: Forward) -> int:
    """Fresh episodes that all steps take together."""
    return (settings.fresh or 0) + settings.renew * (_rounds(settings) - 1)


class PlaysFresh:
    """A worker: plays an episode of the stream, by its number; None where it is too short."""

    def __init__(self, gathering: Gathering, settings: Forward, seed: int):
        self._gathering, self._settings, self._seed = gathering, settings, seed
        self._plays, self._game = Plays(gathering), game_named(gathering.game)

    def __call__(self, number: int) -> Arrays | None:
        """What training needs of it."""
        episode = _fresh(self._gathering, self._seed, False, number)
        log = self._plays(episode)
        if len(log.rewards) < self._gathering.settings.min_steps:
            return None
        return _learnt_from(log.arrays(), episode.seed, self._settings, self._game)


def _clips(episodes: list[Arrays], settings: Forward, longest: int | None = None) -> Clips:
    return Clips(episodes, settings.seen, settings.sequence, settings.context == "serve",
                 settings.compared, longest)


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
    return {name: _learnt_from(load_episode(rollouts, name), seeds[name], settings, game)
            for name in names}


def _learnt_from(episode: Arrays, seed: int, settings: Forward, game: Game) -> Arrays:
    """An episode as networks take it."""
    told = settings.context == "serve" and game.serve is not None
    return {"frames": shrunk(episode["frames"], settings.side),
            "actions": game.taken(episode["actions"]),
            "rewards": episode["rewards"], "terminated": episode["terminated"],
            "serve": game.serve(seed) if told and game.serve else np.zeros(2, np.float32)}


def _keep_contexts(folder: Path, rollouts: Path, episodes: dict[str, Arrays],
                   settings: Forward) -> None:
    """Write how held-out episodes begin: a run without its rollouts can be dreamt in."""
    seen = settings.seen
    first = [load_episode(rollouts, name, ("frames", "actions")) for name in episodes]
    save_npz(folder / "contexts.npz", {
        "frames": np.stack([episode["frames"][:seen] for episode in first]),
        "actions": np.stack([episode["actions"][:seen - 1] for episode in first]),
        "serve": np.stack([episode["serve"] for episode in episodes.values()])})
