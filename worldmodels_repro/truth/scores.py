"""Policies that see nothing, and the agent, in the dream and in the game: where M is wrong.

A dream that is right about random actions may still be kind to an action that is held for good,
which random actions never show, and which is the first thing that an evolving C finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from typing_extensions import TypedDict

from worldmodels_repro.envs.game import Game
from worldmodels_repro.policies.agent import Controllers, SeeingAgent
from worldmodels_repro.policies.dream_scores import play_in_dream
from worldmodels_repro.policies.policy import EachEpisode, Player
from worldmodels_repro.policies.random import Held, UniformlyRandom
from worldmodels_repro.records import Summary
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.statistics import summary
from worldmodels_repro.worlds.agent import Agent
from worldmodels_repro.worlds.dream import Dream
from worldmodels_repro.worlds.episodes import Policy, play
from worldmodels_repro.worlds.frames import FramesWorld


class Scores(TypedDict):
    """One policy's, in both worlds."""

    policy: str
    dream: Summary
    game: Summary


class Always:
    """One action for the whole episode."""

    def __init__(self, action: np.ndarray):
        self._action = action.astype(np.float32)

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The action (A,), whatever is seen."""
        return self._action


BLIND: dict[str, Callable[[Game, np.random.Generator], Player]] = {
    "uniformly random": UniformlyRandom,
    "held 1 to 10 steps": lambda game, rng: Held(game, rng, (1, max(1, 10 // game.repeat))),
    "held 1 to 60 steps": lambda game, rng: Held(game, rng, (1, max(1, 60 // game.repeat))),
    "always lowest": lambda game, rng: Always(game.low),
    "always middle": lambda game, rng: Always((game.low + game.high) / 2),
    "always highest": lambda game, rng: Always(game.high),
}


def scores(game: Game, dream: Dream, agent: Agent | None, episodes: int,
           seed: int) -> Iterator[Scores]:
    """Every policy's scores in the dream, and in the fast game on the run's validation seeds.

    Args:
        game: the dream's.
        dream: at the temperature that is asked about.
        agent: beside the others; None where there is none yet.
        episodes: of each, in each world.
        seed: the run's.
    """
    world = FramesWorld(game, 1, "fast")
    dreamt, played = ([episode_seed(seed, purpose, k) for k in range(episodes)]
                      for purpose in ("dream", "validation"))
    pairs: dict[str, tuple[Policy, Policy]] = {
        name: (EachEpisode(partial(make, game), 1), EachEpisode(partial(make, game), 1))
        for name, make in BLIND.items()}
    if agent is not None:
        pairs["the agent"] = (Controllers(agent.body, agent.weights[None], episodes),
                              SeeingAgent(agent))
    for name, (in_dream, in_game) in pairs.items():
        yield {"policy": name,
               "dream": summary(play_in_dream(dream, in_dream, dreamt).returns.tolist()),
               "game": summary(play(world, in_game, played, game.max_steps).returns.tolist())}
