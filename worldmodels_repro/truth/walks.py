"""How a map is drawn: what a walk over it scores, how often it goes back, what it calls things."""

from __future__ import annotations

from functools import partial

import numpy as np
from typing_extensions import TypedDict

from worldmodels_repro.envs.detector_maps import CLASSES
from worldmodels_repro.envs.game import Game
from worldmodels_repro.policies.agent import on_sight
from worldmodels_repro.policies.policy import EachEpisode
from worldmodels_repro.policies.random import UniformlyRandom
from worldmodels_repro.policies.registry import scripted_player
from worldmodels_repro.worlds.agent import Agent
from worldmodels_repro.worlds.episodes import Policy


class Walks(TypedDict):
    """Of some episodes.

    Attributes:
        score, steps: means of an episode.
        again: the share of moves to a pixel that was drawn before.
        right: the share of drawn pixels whose most likely class is theirs ...
        recall: ... and of those of each class; None where none is of it.
    """

    score: float
    steps: float
    again: float
    right: float
    recall: dict[str, float | None]


def agents_walks(agent: Agent, game: Game, seeds: list[int]) -> Walks:
    """An agent's, on the game's states or frames, an episode for each seed."""
    return _walks(game, on_sight(agent), seeds, agent.body.sight is None
                  and agent.body.vision is None)


def others_walks(game: Game, seeds: list[int]) -> dict[str, Walks]:
    """The same of the game's own player, and of uniformly random actions."""
    by_rule = scripted_player(game)
    return {"scripted": _walks(game, EachEpisode(lambda rng: by_rule(rng, 0.0)), seeds, False),
            "random": _walks(game, EachEpisode(partial(UniformlyRandom, game)), seeds, True)}


def _walks(game: Game, policy: Policy, seeds: list[int], states: bool) -> Walks:
    env = game.make_states() if states else game.make("original")
    score, steps, again = 0.0, 0, 0
    found = np.zeros((len(CLASSES), len(CLASSES)), int)  # [truth, drawn]
    for episode, seed in enumerate(seeds):
        seen, over = env.reset(seed=seed)[0], False
        policy.reset(0, seed, episode)
        while not over:
            seen, reward, ended, cut, info = env.step(policy.act(seen[None])[0])
            score, steps, over = score + float(reward), steps + 1, ended or cut
            again += bool(info["again"])
            found[info["truth"], info["wrote"]] += 1
    env.close()
    return {"score": score / len(seeds), "steps": steps / len(seeds), "again": again / steps,
            "right": float(np.trace(found) / steps),
            "recall": {name: float(row[kind] / row.sum()) if row.any() else None
                       for kind, (name, row) in enumerate(zip(CLASSES, found, strict=True))}}
