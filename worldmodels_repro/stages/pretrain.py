"""Stage 2 of a run without V: networks learn from random play what may help C to learn.

Each of ``pretrain.networks`` has a folder in the stage's and learns by the one loop that trains. A
step's examples come from a generator that is seeded by its number, so a run that was interrupted
goes on with the same ones. At the end each is told how good it is beside something that knows
nothing: ``facts`` in ``stage.json``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from worldmodels_repro.data.episodes import (
    FRAMES,
    episode_lengths,
    kept_episodes,
    split_episodes,
)
from worldmodels_repro.data.examples import Examples, load_examples
from worldmodels_repro.data.stacks import NOTHING
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.convolutions import scaled
from worldmodels_repro.progress import say
from worldmodels_repro.run import Run
from worldmodels_repro.sections import Pretrain
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.storage import save_npz, write_atomically
from worldmodels_repro.training.quiet import import_keras_quietly
from worldmodels_repro.training.windows import StepsOnExamples
from worldmodels_repro.worlds.agent import encoder_of, pretrained_encoder, sight_of

if TYPE_CHECKING:
    from worldmodels_repro.models.pretraining import Scale

ORDER = ("autoencoder", "transition", "decoder", "regressor")  # M2 may be of M1's numbers
SCORED = 512  # held-out steps in one prediction
SHOWN = 8  # held-out steps whose pictures are kept
SWEEP = np.linspace(-2.0, 2.0, 9)  # deviations
CHANGED = 16  # how far from the background a pixel is of something that moves

Steps = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one network learns.

    Attributes:
        name: its own.
        model: compiled.
        inputs, targets: steps (B,) of examples -> what goes in and what should come out.
        follows: whether a step needs the next one of its episode.
        unit: of its errors.
    """

    name: str
    model: Any
    inputs: Callable[[Examples, Steps], np.ndarray]
    targets: Callable[[Examples, Steps], np.ndarray]
    unit: float
    follows: bool = False

    def steps(self, examples: Examples) -> Steps:
        """The steps that it can learn from."""
        return np.flatnonzero(~examples.last) if self.follows else np.arange(len(examples))


def run(stage_run: Run) -> None:
    """Train what is missing."""
    config, settings = stage_run.config, stage_run.config.pretrain
    if not settings.networks:
        raise UserError("there is nothing to train: set pretrain.networks, e.g. --set "
                        "pretrain.networks=[autoencoder]")
    game = game_named(config.game)
    of_states = {"decoder", "regressor", *(["transition"] * (settings.sees == "o"))}
    stateless = sorted(of_states & set(settings.networks))
    if stateless and not game.state:
        raise UserError(f"{game.name} has no state for the {stateless[0]} to learn: leave it out "
                        "of pretrain.networks, or set pretrain.sees=f")
    folder = stage_run.begin("pretrain")
    if folder is None:
        return
    rollouts = stage_run.folder("rollouts")
    lengths = episode_lengths(rollouts, kept_episodes(rollouts), FRAMES, config.skip_bad_files)
    names = split_episodes(list(lengths), settings.validation, config.seed)
    training, held_out = (load_examples(rollouts, part, sight_of(config), bool(stateless))
                          for part in names)
    # Keras takes seconds to import: after everything that can be refused.
    import_keras_quietly()
    facts: dict[str, Any] = {"training_steps": len(training), "held_out_episodes": names[1]}
    for name in ORDER:
        if name in settings.networks:
            facts[name] = _trained(stage_run, name, training, held_out)
            say(f"pretrain: {name}: " + ", ".join(
                f"{key} {value:.4g}" for key, value in facts[name].items()))
    stage_run.finish("pretrain", **facts)


def _trained(stage_run: Run, name: str, training: Examples, held_out: Examples) -> dict[str, float]:
    """Train one network; what it came to on the held-out steps."""
    import keras

    from worldmodels_repro.models.pretraining import Scale, scale_of
    from worldmodels_repro.models.weights import load_weights, set_weights
    from worldmodels_repro.training.loop import fit

    config, settings = stage_run.config, stage_run.config.pretrain
    folder = stage_run.folder("pretrain") / name
    if name == "transition" and settings.sees == "f":
        training, held_out = (_encoded(stage_run, part) for part in (training, held_out))
    scale = scale_of(training.seen) if settings.normalise and training.seen.size else Scale()
    seed = episode_seed(config.seed, "models", 9, ORDER.index(name))
    keras.backend.clear_session()  # layers' names are those of its weights
    keras.utils.set_random_seed(seed)
    task = _task(stage_run, name, training, scale)
    if not len(task.steps(training)) or not len(task.steps(held_out)):
        raise UserError("episodes of a single step have nothing to follow: collect longer ones")
    course = Course(settings, task, training, held_out, seed, folder)
    fit(stage_run, "pretrain", task.model, course,
        f"{name} of {task.model.count_params()} weights, {len(training)} steps, {len(held_out)} "
        "held out", part=name)
    best = folder / "weights.npz"
    set_weights(task.model, load_weights(best), str(best))
    save_npz(folder / "scale.npz", {"mean": np.array(scale.mean),
                                    "deviation": np.array(scale.deviation)})
    if name == "autoencoder":
        _keep_encoder(folder, task.model)
    return _facts(task, training, held_out, folder, scale)


def _task(stage_run: Run, name: str, training: Examples, scale: Scale) -> Task:
    """A network, compiled, and what it learns."""
    import keras

    from worldmodels_repro.models import pretraining

    config, settings = stage_run.config, stage_run.config.pretrain
    encoder, sight = encoder_of(config), sight_of(config)
    states, actions = training.seen.shape[1], training.actions.shape[1]
    game = game_named(config.game)
    half = 2.0  # a picture's numbers are from -1 to 1, and errors are told from 0 to 1
    make: dict[str, Callable[[], Task]] = {
        "autoencoder": lambda: Task(
            name=name, model=pretraining.autoencoder(encoder, settings.dropout), unit=half,
            inputs=Examples.stacks, targets=lambda part, steps: scaled(part.stacks(steps))),
        "transition": lambda: Task(
            name=name, model=pretraining.transition(settings, states, actions, scale),
            unit=scale.deviation, follows=True,
            inputs=lambda part, steps: np.concatenate(
                [part.seen[steps], _outputs(game, game.taken(part.actions[steps]))], axis=1),
            targets=lambda part, steps: part.seen[steps + 1]),
        "decoder": lambda: Task(
            name=name, unit=half, model=pretraining.state_decoder(
                settings, states, (*sight.shape[:2], sight.channels), scale),
            inputs=lambda part, steps: part.seen[steps],
            targets=lambda part, steps: scaled(part.frames[steps])),
        "regressor": lambda: Task(
            name=name, unit=scale.deviation,
            model=pretraining.state_regressor(settings, encoder, states, scale),
            inputs=Examples.stacks, targets=lambda part, steps: part.seen[steps]),
    }
    task = make[name]()
    loss = pretraining.mean_square if name == "decoder" else pretraining.root_mean_square
    task.model.compile(optimizer=keras.optimizers.Adam(settings.learning_rate),
                       loss=loss(task.unit))
    return task


class Course(StepsOnExamples):
    """A :class:`training.loop.Course` of single steps of play; a round ends with a validation."""

    def __init__(self, settings: Pretrain, task: Task, training: Examples, held_out: Examples,
                 seed: int, folder: Path):
        super().__init__(settings, settings.learning_rate, seed)
        self._task, self._examples, self._held_out = task, training, held_out
        self._steps, self._shuffle = task.steps(training), settings.shuffle
        self._folder = folder

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Any, Any]:
        """Inputs and targets of ``size`` steps: of anywhere, or one after another."""
        places = rng.integers(len(self._steps), size=size if self._shuffle else 1)
        if not self._shuffle:
            places = (places + np.arange(size)) % len(self._steps)
        steps = self._steps[places]
        return self._task.inputs(self._examples, steps), self._task.targets(self._examples, steps)

    def validate(self, model: Any) -> dict[str, Any]:
        """The root of the mean squared error over all held-out steps."""
        return {"val_loss": round(_rmse(self._task, self._held_out), 6)}

    def show(self, model: Any, row: dict[str, Any], best: bool) -> str:
        """Draw a few held-out pictures, where pictures are what comes out."""
        if best and self._task.name in ("autoencoder", "decoder"):
            steps = _shown(self._task, self._held_out)
            true, drawn = (_bytes(picture) for picture in (
                self._task.targets(self._held_out, steps), _predicted(self._task, self._held_out,
                                                                      steps)))
            _save_picture(self._folder / "pictures.png", [_colours(true), _colours(drawn)])
        return f"loss {row['loss']:.4f}, held-out error {row['val_loss']:.4f}"


def _facts(task: Task, training: Examples, held_out: Examples, folder: Path,
           scale: Scale) -> dict[str, float]:
    """How good a network is, and something beside it that knows nothing."""
    facts = {"rmse": _rmse(task, held_out)}
    if task.follows:
        facts["copied"] = _rmse(task, held_out, lambda steps: held_out.seen[steps])
    else:
        mean = _mean_target(task, training)
        facts["mean"] = _rmse(task, held_out, lambda steps: mean)
    if task.name == "decoder":
        _sweep(task, training, folder)
        facts["off"] = _off(task, held_out, lambda states: states)
        # What a network that has learnt of normalised states makes of states as they are.
        facts["off_unnormalised"] = _off(
            task, held_out, lambda states: states * scale.deviation + scale.mean)
    return {name: round(value, 6) for name, value in facts.items()}


def _rmse(task: Task, examples: Examples,
          guess: Callable[[Steps], np.ndarray] | None = None) -> float:
    """The root of the mean squared error on all of these, in the network's unit; or of a guess that
    nothing was learnt for."""
    guess = guess or (lambda steps: _predicted(task, examples, steps))
    squares = numbers = 0.0
    for steps in _parts(task.steps(examples)):
        errors = (task.targets(examples, steps) - guess(steps)) / task.unit
        squares += float(np.square(errors, dtype=np.float64).sum())
        numbers += errors.size
    return float(np.sqrt(squares / numbers))


def _off(task: Task, examples: Examples, given: Callable[[np.ndarray], np.ndarray]) -> float:
    """The mean distance, in pixels, of what moves in a drawn frame from where it is.

    Less the first frame, what moves is seen twice: where it is, and as a hole where it was. The
    former is that of the two, brighter or darker than before, whose place varies more.
    """
    steps = _shown(task, examples, SCORED)
    true = _bytes(task.targets(examples, steps)).astype(np.int16) - NOTHING
    drawn = _bytes(np.asarray(task.model(given(examples.seen[steps]), training=False))).astype(
        np.int16) - NOTHING
    sign = max((1, -1), key=lambda sign: np.nanvar(places(sign * true), axis=0).sum())
    distances = np.linalg.norm(places(sign * true) - places(sign * drawn), axis=1)
    # Where nothing is drawn, or too faintly to be seen, it is as far off as can be.
    distances[np.isnan(distances)] = true.shape[1]
    return float(distances[~np.isnan(places(sign * true)[:, 0])].mean())


def places(pictures: np.ndarray) -> np.ndarray:
    """Pictures (N, S, S, c) -> x and y (N, 2) of the centre of what is above ``CHANGED``; NaN where
    nothing is."""
    weights = np.maximum(pictures.max(axis=-1) - CHANGED, 0).astype(float)  # (N, S, S)
    total = weights.sum(axis=(1, 2))
    total[total == 0] = np.nan
    along = np.arange(pictures.shape[1])
    return np.stack([(weights.sum(axis=1) * along).sum(axis=1) / total,
                     (weights.sum(axis=2) * along).sum(axis=1) / total], axis=1)


def _sweep(task: Task, examples: Examples, folder: Path) -> None:
    """A row for each number of the state: frames as it alone goes from low to high."""
    mean, deviation = examples.seen.mean(axis=0), examples.seen.std(axis=0)
    rows = []
    for number in range(len(mean)):
        states = np.repeat(mean[None], len(SWEEP), axis=0)
        states[:, number] += SWEEP * deviation[number]
        rows.append(_colours(_bytes(np.asarray(task.model(states, training=False)))))
    _save_picture(folder / "sweep.png", rows)


def _encoded(stage_run: Run, examples: Examples) -> Examples:
    """The same steps, seen as the autoencoder's numbers."""
    weights = pretrained_encoder(stage_run.path, stage_run.config)[None]
    encoder, all_steps = encoder_of(stage_run.config), np.arange(len(examples))
    return examples.with_seen(np.concatenate([
        encoder.act(weights, examples.stacks(steps)) for steps in _parts(all_steps)]))


def _keep_encoder(folder: Path, model: Any) -> None:
    """What C takes over of an autoencoder, its normalisations within the kernels."""
    from worldmodels_repro.models.keras_convolutions import folded

    names = [layer.name for layer in model.layers]
    save_npz(folder / "encoder.npz",
             {"weights": folded(model.layers[:names.index("code")])})


def _outputs(game: Game, actions: np.ndarray) -> np.ndarray:
    """Actions in the game's ranges -> from -1 to 1, as a learner gives them."""
    return np.asarray(2.0 * (actions - game.low) / (game.high - game.low) - 1.0, np.float32)


def _predicted(task: Task, examples: Examples, steps: Steps) -> np.ndarray:
    return np.asarray(task.model(task.inputs(examples, steps), training=False))


def _mean_target(task: Task, examples: Examples) -> np.ndarray:
    steps, total = task.steps(examples), np.zeros(())
    for part in _parts(steps):
        total = total + task.targets(examples, part).sum(axis=0, dtype=np.float64)
    return np.asarray(total / len(steps))


def _parts(steps: Steps) -> list[Steps]:
    return [steps[first:first + SCORED] for first in range(0, len(steps), SCORED)]


def _shown(task: Task, examples: Examples, count: int = SHOWN) -> Steps:
    """So many steps, evenly among all."""
    steps = task.steps(examples)
    return steps[np.linspace(0, len(steps) - 1, min(count, len(steps))).astype(int)]


def _bytes(pictures: np.ndarray) -> np.ndarray:
    """Numbers from -1 to 1 -> bytes."""
    return ((pictures + 1.0) * 127.5).round().clip(0, 255).astype(np.uint8)


def _colours(pictures: np.ndarray) -> np.ndarray:
    """Pictures (N, S, S, C) -> their last frames in colours, (N, S, S, 3)."""
    if pictures.shape[-1] % 3:
        return np.repeat(pictures[..., -1:], 3, axis=-1)
    return pictures[..., -3:]


def _save_picture(path: Path, rows: list[np.ndarray]) -> None:
    """Rows of pictures, each (N, S, S, 3) uint8, as one."""
    whole = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    write_atomically(path, lambda file: Image.fromarray(whole).save(file, "png"))
