"""The lead curve: from so many steps before a real death, does M's dream foresee it?

A game is followed by M, fed with what V saw, to ``lead`` steps before its last one. From there the
dream goes on alone, with the actions that were taken, to a few steps beyond. The share of dreams
that end is P(death). From places where the game went on, the share should be next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.contracts import ForwardModel, Representation
from worldmodels_repro.models.encoding import Encoding
from worldmodels_repro.storage import Arrays
from worldmodels_repro.worlds.dream import Dream, DreamWorld
from worldmodels_repro.worlds.episodes import Policy, play
from worldmodels_repro.worlds.frames import FramesWorld

BEYOND = 5  # of the environment's steps after the last one: a dreamt fireball may be slower


@dataclass(frozen=True)
class Watched:
    """An episode as V saw it.

    Attributes:
        mu, logvar: (T, z) posteriors.
        actions: (T, A) that were taken.
        ended: whether the last action ended it, rather than time.
    """

    mu: np.ndarray
    logvar: np.ndarray
    actions: np.ndarray
    ended: bool


def watched(game: Game, vision: Representation, policy: Policy, seeds: list[int]) -> list[Watched]:
    """Play an episode for each seed in the fast game, and encode what was seen."""
    world, encoding = FramesWorld(game, 1, "fast"), Encoding(vision)
    frames: list[np.ndarray] = []
    taken: list[np.ndarray] = []

    def note(seen: np.ndarray, actions: np.ndarray, rewards: np.ndarray,
             dones: np.ndarray) -> None:
        frames.append(seen[0])
        taken.append(actions[0].copy())

    episodes = []
    for seed in seeds:
        frames.clear()
        taken.clear()
        play(world, policy, [seed], game.max_steps, watch=note)
        episodes.append(Watched(*encoding.posteriors(np.stack(frames)),
                                np.stack(taken).astype(np.float32), bool(world.terminated[0])))
    return episodes


def lead_curve(dream: Dream, episodes: Sequence[Watched], leads: Sequence[int], copies: int,
               rng: np.random.Generator) -> list[dict[str, float | None]]:
    """A row for each lead; those that are less than an action apart are one.

    Args:
        dream: M, its temperature and how its dreams end.
        episodes: some of which ended; those too short for a lead are left out of it.
        leads: steps of the environment before the last one.
        copies: dreams from each place.
        rng: draws the places where games went on, and all noise.

    Returns:
        ``lead``, ``deaths`` (how many), ``death`` (P over them), ``survived`` (P over places where
        the game went on); None where there are no such places.
    """
    rows: list[dict[str, float | None]] = []
    followed = [_follow(dream, episode, rng) for episode in episodes]
    world, repeat = DreamWorld(dream, len(episodes) * copies), game_named(dream.game).repeat
    for lead in sorted({lead // repeat for lead in leads}):
        ahead = lead + 1 + -(-BEYOND // repeat)
        dying = [(number, len(episode.mu) - 1 - lead) for number, episode in enumerate(episodes)
                 if episode.ended and len(episode.mu) > lead + 1]
        # A place is one where the game went on only if it did so for as long as is dreamt.
        living = [(number, int(rng.integers(1, len(episode.mu) - ahead)))
                  for number, episode in enumerate(episodes) if len(episode.mu) > 2 * ahead + 1]
        rows.append({"lead": lead * repeat, "deaths": len(dying)} | {
            name: _share_ended(world, places, episodes, followed, ahead, copies, rng)
            for name, places in (("death", dying), ("survived", living))})
    return rows


@dataclass(frozen=True)
class _Followed:
    """M's state before each step of an episode, and the z that it was fed."""

    z: np.ndarray  # (T, z)
    states: list[Arrays]


def _follow(dream: Dream, episode: Watched, rng: np.random.Generator) -> _Followed:
    memory: ForwardModel = dream.memory
    beside, told = memory.follow(1, dream.precision), dream.told()
    z = episode.mu + np.exp(0.5 * episode.logvar) * rng.standard_normal(episode.mu.shape)
    z, states = z.astype(np.float32), []
    for t in range(len(z)):
        states.append({name: state[0].copy() for name, state in beside.state.items()})
        beside.step(z[t:t + 1], told(episode.actions[t:t + 1]))
    return _Followed(z, states)


def _share_ended(world: DreamWorld, places: list[tuple[int, int]], episodes: Sequence[Watched],
                 followed: Sequence[_Followed], ahead: int, copies: int,
                 rng: np.random.Generator) -> float | None:
    """Of ``copies`` dreams from each place (episode, step), with its actions, the last held on."""
    if not places:
        return None
    for slot in range(world.slots):
        world.rest(slot)
    actions = np.zeros((ahead, world.slots, episodes[0].actions.shape[1]), np.float32)
    for index, (number, place) in enumerate(places):
        steps = np.minimum(np.arange(place, place + ahead), len(episodes[number].actions) - 1)
        mine = slice(index * copies, (index + 1) * copies)
        actions[:, mine] = episodes[number].actions[steps][:, None]
        for slot in range(index * copies, (index + 1) * copies):
            world.resume(slot, int(rng.integers(2**31)), followed[number].z[place],
                         followed[number].states[place])
    ended = np.zeros(world.slots, bool)
    for now in actions:
        ended |= world.advance(now)[1]
    return float(ended[:len(places) * copies].mean())
