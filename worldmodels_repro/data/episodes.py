"""Episode files: one ``.npz`` an episode, listed in a manifest, split into two sets by episode."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.records import ManifestLine
from worldmodels_repro.seeds import generator
from worldmodels_repro.storage import Arrays, load_json_lines, load_npz

FRAMES = ("frames", "actions", "rewards", "terminated", "truncated")
LATENTS = ("mu", "logvar", "actions", "rewards", "terminated", "truncated")


def episode_file(folder: Path, name: str) -> Path:
    """Where an episode lies; its name is its policy and number, e.g. ``brownian-000012``."""
    return folder / f"{name}.npz"


def kept_episodes(rollouts: Path) -> list[str]:
    """Names of the episodes that the manifest keeps.

    Raises:
        UserError: there is none.
    """
    kept = [line["episode"] for line in load_json_lines(rollouts / "manifest.jsonl", ManifestLine)
            if line["kept"]]
    if not kept:
        raise UserError(f"{rollouts} holds no episodes: raise rollouts.policies, or lower "
                        "rollouts.min_steps, and collect again under another --run")
    return kept


def load_episode(folder: Path, name: str, names: tuple[str, ...] = FRAMES) -> Arrays:
    """One episode, checked.

    Returns:
        The arrays ``names``, each with T rows: ``frames[t]`` is seen before ``actions[t]``,
        whose outcome is ``rewards[t]``, ``terminated[t]`` and ``truncated[t]``.

    Raises:
        UserError: naming a file that is missing, truncated or not an episode.
    """
    path = episode_file(folder, name)
    episode = load_npz(path, names)
    lengths = {len(array) if array.ndim else 0 for array in episode.values()}
    frames = episode.get("frames")
    wrong_frames = frames is not None and (frames.shape[1:] != (64, 64, 3)
                                           or frames.dtype != np.uint8)
    if len(lengths) != 1 or 0 in lengths or wrong_frames:
        raise UserError(f"{path} is not an episode of this project: remove its line from the "
                        "manifest, or set skip_bad_files=true")
    return episode


def episode_lengths(folder: Path, episodes: list[str], names: tuple[str, ...],
                    skip_bad: bool) -> dict[str, int]:
    """Steps of every episode that can be read; files are opened, but not read through.

    Raises:
        UserError: naming the first bad file, unless ``skip_bad``.
    """
    lengths = {}
    for episode in episodes:
        try:
            path = episode_file(folder, episode)
            lengths[episode] = len(load_npz(path, ("rewards",), beside=names)["rewards"])
        except UserError as error:
            if not skip_bad:
                raise
            print(f"skipped: {error}", file=sys.stderr)
    return lengths


def first_posteriors(episodes: Iterable[Arrays]) -> Arrays:
    """V's posteriors of the episodes' first frames, where dreams start: mu and logvar (E, z)."""
    first = [{name: episode[name][0] for name in ("mu", "logvar")} for episode in episodes]
    return {name: np.stack([row[name] for row in first]) for name in ("mu", "logvar")}


def split_episodes(episodes: list[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """(training, validation): whole episodes, at least one each, the same for the same seed.

    Raises:
        UserError: fewer than two episodes.
    """
    if len(episodes) < 2:
        raise UserError(f"{len(episodes)} episode(s) can't be split into training and validation: "
                        "collect at least 2 (rollouts.policies)")
    held_out = min(max(1, round(share * len(episodes))), len(episodes) - 1)
    order = generator(seed, 0x5917).permutation(len(episodes))
    return (sorted(episodes[i] for i in order[held_out:]),
            sorted(episodes[i] for i in order[:held_out]))
