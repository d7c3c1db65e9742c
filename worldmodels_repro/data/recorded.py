"""Episodes that were recorded elsewhere: ``.npz`` files of arrays, or a Minari dataset.

Every array has a row a step: ``frames`` (T, H, W, 3) uint8, seen before ``actions`` (T, A), whose
outcome are ``rewards`` (T,) and ``terminated`` (T,). A file may hold several episodes: one ends
where ``terminated`` or ``truncated`` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from worldmodels_repro.envs.game import Game, resized
from worldmodels_repro.errors import UserError
from worldmodels_repro.extras import require
from worldmodels_repro.frame import FRAME
from worldmodels_repro.storage import Arrays, load_npz

ARRAYS = ("frames", "actions", "rewards", "terminated")
MINARI = "minari:"


def recorded(source: str, game: Game) -> Iterator[Arrays]:
    """The episodes of a recording, as this project keeps them.

    Args:
        source: an ``.npz``, a folder of them (in their names' order), or ``minari:NAME``.
        game: whose actions they are; a single whole number stands for a choice.

    Raises:
        UserError: there is none, or something in it can't be this game's.
    """
    if source.startswith(MINARI):
        require("minari")
        for place, arrays in _minari(source.removeprefix(MINARI)):
            yield from _episodes(place, arrays, game)
        return
    path = Path(source)
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise UserError(f"rollouts.recorded: no .npz is at {source}: name a file, a folder of "
                        "them, or minari:NAME")
    for file in files:
        yield from _episodes(str(file), load_npz(file), game)


def _minari(name: str) -> Iterator[tuple[str, Arrays]]:
    import minari

    try:
        dataset = minari.load_dataset(name)
    except Exception as error:  # whatever it stumbles over
        raise UserError(f"rollouts.recorded: Minari has no {name} here ({error}): type minari "
                        f"download {name}") from None
    for episode in dataset.iterate_episodes():
        # The observation after the last action is not kept.
        yield f"{MINARI}{name}, episode {episode.id}", {
            "frames": np.asarray(episode.observations)[:-1], "actions": np.asarray(episode.actions),
            "rewards": episode.rewards, "terminated": episode.terminations,
            "truncated": episode.truncations}


def _episodes(place: str, arrays: Arrays, game: Game) -> Iterator[Arrays]:
    """What one file holds, checked, cut into episodes, as V's frames and C's numbers."""
    if missing := [name for name in ARRAYS if name not in arrays]:
        raise _unfit(place, f"there is no array {missing[0]} (it has {', '.join(arrays)})")
    frames, rewards = arrays["frames"], arrays["rewards"]
    arrays = {"truncated": np.zeros(rewards.shape[:1], bool), **arrays}
    lengths = {name: len(arrays[name]) if arrays[name].ndim else 0
               for name in (*ARRAYS, "truncated")}
    if len(set(lengths.values())) > 1 or not len(rewards):
        raise _unfit(place, "each array needs a row a step, and they have "
                     + ", ".join(f"{name} {length}" for name, length in lengths.items()))
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise _unfit(place, f"frames are {frames.shape} {frames.dtype}, not (T, H, W, 3) uint8")
    if words := [name for name in (*ARRAYS, "truncated") if arrays[name].dtype.kind not in "biuf"]:
        raise _unfit(place, f"{words[0]} are {arrays[words[0]].dtype}, not numbers")
    if rewards.ndim > 1 or arrays["terminated"].ndim > 1 or arrays["truncated"].ndim > 1:
        raise _unfit(place, "rewards, terminated and truncated need one number a step")
    actions = _numbers(place, arrays["actions"], game)
    if not np.isfinite(np.asarray(rewards, float)).all():
        raise _unfit(place, "a reward is no number")
    terminated, truncated = arrays["terminated"].astype(bool), arrays["truncated"].astype(bool)
    if frames.shape[1:] != FRAME:
        frames = np.stack([resized(frame) for frame in frames])
    ends = np.flatnonzero(terminated | truncated).tolist()
    begin = 0
    for end in [*ends, *([len(rewards) - 1] if ends[-1:] != [len(rewards) - 1] else [])]:
        part = slice(begin, end + 1)
        cut = truncated[part].copy()
        cut[-1] = not terminated[end]  # what did not end by itself was cut at its last step
        yield {"frames": frames[part], "actions": actions[part],
               "rewards": np.asarray(rewards[part], np.float32), "terminated": terminated[part],
               "truncated": cut}
        begin = end + 1


def _numbers(place: str, actions: np.ndarray, game: Game) -> np.ndarray:
    """Recorded actions as C's numbers (T, A) float32."""
    if actions.ndim == 1 and np.issubdtype(actions.dtype, np.integer) and game.choices is not None:
        if actions.min() < 0 or actions.max() >= len(game.choices):
            raise _unfit(place, f"choices are from {actions.min()} to {actions.max()}, and "
                         f"{game.name} has {len(game.choices)}, from 0 on")
        return game.choices[actions].astype(np.float32)
    numbers = actions.reshape(len(actions), -1).astype(np.float32)
    if numbers.shape[1] != game.actions:
        raise _unfit(place, f"actions have {numbers.shape[1]} numbers, and {game.name}'s have "
                     f"{game.actions}")
    if not np.isfinite(numbers).all():
        raise _unfit(place, "an action is no number")
    return numbers


def _unfit(place: str, what: str) -> UserError:
    return UserError(f"rollouts.recorded: {place}: {what}")
