"""Episodes in which C tries what it would not do: what policy gradients are taken of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.seeds import generator
from worldmodels_repro.worlds.agent import Body
from worldmodels_repro.worlds.episodes import EndingWorld, Played, play


@dataclass(frozen=True)
class Practice(Played):
    """What came of E episodes, step by step: N steps in all, an episode's after another's.

    Attributes:
        seen: (N, F) float16, what C saw.
        outputs: (N, A) what it gave before tanh, noise included.
        rewards: (N,).
        ended: (E,) whether an episode ended by itself, or was given up; not by its time.
    """

    seen: np.ndarray
    outputs: np.ndarray
    rewards: np.ndarray
    ended: np.ndarray

    @staticmethod
    def joined(parts: list[Practice]) -> Practice:
        """That of all episodes of several."""
        return Practice(*(np.concatenate([getattr(part, name) for part in parts])
                          for name in Practice.__dataclass_fields__))


def practise(world: EndingWorld, body: Body, weights: np.ndarray, sigma: np.ndarray,
             seeds: list[int], max_steps: int, patience: int = 0) -> Practice:
    """Play E episodes with noise on what C gives, and keep what happens.

    Args:
        world: where.
        body: whose C.
        weights: (1, n) C's.
        sigma: (A,) standard deviations of the noise, before tanh.
        seeds, max_steps, patience: as :func:`worlds.episodes.play` takes them.
    """
    trying = _Trying(world, body, weights, sigma, max_steps)
    played = play(world, trying, seeds, max_steps, patience, trying.watch)
    return trying.practice(played)


class _Trying:
    """C with noise, all draws of an episode from its seed; and all that it saw and did."""

    def __init__(self, world: EndingWorld, body: Body, weights: np.ndarray, sigma: np.ndarray,
                 max_steps: int):
        assert isinstance(body.shape, ControllerShape)  # controller.by says so
        self._world, self._shape, self._acts = world, body.shape, body.acts
        self._weights, self._sigma = weights, sigma
        self._noise = np.zeros((world.slots, max_steps, body.shape.actions), np.float32)
        self._age = np.zeros(world.slots, int)
        self._episode = np.full(world.slots, -1)
        self._outputs = np.zeros((world.slots, body.shape.actions), np.float32)
        self._kept: dict[str, list[np.ndarray]] = {
            name: [] for name in ("episode", "seen", "outputs", "rewards", "dones", "ended")}

    def reset(self, slot: int, seed: int, episode: int) -> None:
        """An episode begins in a slot."""
        generator(seed, 1).standard_normal(dtype=np.float32, out=self._noise[slot])
        self._age[slot], self._episode[slot] = 0, episode

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Features (B, F) -> actions (B, A)."""
        weights = np.broadcast_to(self._weights, (len(observations), self._weights.shape[1]))
        ages = np.minimum(self._age, self._noise.shape[1] - 1)  # idle slots grow older
        noise = self._noise[np.arange(len(ages)), ages]
        self._outputs = self._shape.before_tanh(weights, observations) + self._sigma * noise
        self._age += 1
        return self._acts(np.tanh(self._outputs))

    def watch(self, seen: np.ndarray, actions: np.ndarray, rewards: np.ndarray,
              dones: np.ndarray) -> None:
        """A step: see :class:`worlds.episodes.Watcher`."""
        rows = {"episode": self._episode.copy(), "seen": seen.astype(np.float16),
                "outputs": self._outputs, "rewards": rewards.astype(np.float32),
                "dones": dones.copy(), "ended": dones & self._world.terminated}
        for name, row in rows.items():
            self._kept[name].append(row)

    def practice(self, played: Played) -> Practice:
        """The steps by episode; those of idle slots, which follow an episode's last, are none."""
        episode = np.concatenate(self._kept["episode"])  # (T B,)
        order = np.argsort(episode, kind="stable")
        first = np.searchsorted(episode[order], np.arange(len(played.steps)))
        order = order[np.concatenate([np.arange(start, start + steps) for start, steps
                                      in zip(first, played.steps, strict=True)])]
        kept = {name: np.concatenate(rows)[order] for name, rows in self._kept.items()}
        last = np.cumsum(played.steps) - 1
        given_up = ~kept["dones"][last] & (played.steps < self._noise.shape[1])
        return Practice(played.returns, played.steps, kept["seen"], kept["outputs"],
                        kept["rewards"], kept["ended"][last] | given_up)
