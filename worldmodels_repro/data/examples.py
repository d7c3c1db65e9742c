"""Steps of random play for networks that learn before C does: frames, states and actions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from worldmodels_repro.data.episodes import episode_file, load_episode
from worldmodels_repro.data.stacks import Sight, places_of, stacked
from worldmodels_repro.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Examples:
    """N steps of whole episodes, one after another.

    Attributes:
        sight: how frames are seen.
        frames: (N, 64, 64, c) uint8, each once.
        first: (N,) where the step's episode begins.
        last: (N,) whether the step is its episode's last.
        seen: (N, F) float32, the game's states, or what stands for them; F may be 0.
        actions: (N, A) float32.
    """

    sight: Sight
    frames: np.ndarray
    first: np.ndarray
    last: np.ndarray
    seen: np.ndarray
    actions: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def stacks(self, steps: np.ndarray) -> np.ndarray:
        """What is seen at steps (B,), (B, 64, 64, k c) uint8."""
        return stacked(self.frames, places_of(steps, self.first[steps], self.sight))

    def with_seen(self, seen: np.ndarray) -> Examples:
        """The same steps, with other numbers (N, F) that stand for them."""
        return replace(self, seen=seen)


def load_examples(rollouts: Path, episodes: list[str], sight: Sight, states: bool) -> Examples:
    """The steps of these episodes.

    Args:
        rollouts: their folder.
        episodes: their names.
        sight: how frames are seen.
        states: whether the game's states are wanted beside them.

    Raises:
        UserError: a file is bad, or has no states.
    """
    names = ("frames", "actions", *(["states"] if states else []))
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*names, "first", "last")}
    begin = 0
    for name in episodes:
        episode = load_episode(rollouts, name, names)
        if states and np.isnan(episode["states"]).any():
            raise UserError(f"{episode_file(rollouts, name)} holds no states: the game's frames "
                            "must tell them (docs/adding.md)")
        length = len(episode["frames"])
        parts["frames"].append(sight.look(episode["frames"], episode["frames"][0]))
        parts["first"].append(np.full(length, begin))
        parts["last"].append(np.arange(length) == length - 1)
        for key in names[1:]:
            parts[key].append(episode[key])
        begin += length
    whole = {name: np.concatenate(part) for name, part in parts.items()}
    return Examples(sight=sight, frames=whole["frames"], first=whole["first"], last=whole["last"],
                    actions=whole["actions"],
                    seen=whole.get("states", np.zeros((begin, 0), np.float32)))
