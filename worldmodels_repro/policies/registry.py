"""The policies that gather data, by name: a row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import cast

import numpy as np

from worldmodels_repro.envs.game import Game
from worldmodels_repro.errors import UserError
from worldmodels_repro.plugins import is_plugin, load
from worldmodels_repro.policies.agent import Interrupted, SeeingAgent
from worldmodels_repro.policies.policy import EachEpisode, Player
from worldmodels_repro.policies.random import Brownian, Held, RandomNetwork
from worldmodels_repro.sections import Rollouts
from worldmodels_repro.worlds.agent import Agent
from worldmodels_repro.worlds.episodes import Policy

MakePolicy = Callable[[Game, Rollouts, Agent | None], Policy]
"""(the game, what ``rollouts`` says, the agent that it names) -> who acts in a world of frames."""


def _network(game: Game, settings: Rollouts, agent: Agent | None) -> Policy:
    return EachEpisode(partial(RandomNetwork, game))


def _brownian(game: Game, settings: Rollouts, agent: Agent | None) -> Policy:
    return EachEpisode(partial(Brownian, game, dt=settings.brownian_dt))


def _held(game: Game, settings: Rollouts, agent: Agent | None) -> Policy:
    return EachEpisode(partial(Held, game, steps=settings.held_steps))


def _controller(game: Game, settings: Rollouts, agent: Agent | None) -> Policy:
    # From driving as well as it can to hardly keeping the road: M meets speed and mistakes.
    return SeeingAgent(replace(_with_a_v(agent), spread=None), most_noise=settings.agent_noise)


def _candidates(game: Game, settings: Rollouts, agent: Agent | None) -> Policy:
    return SeeingAgent(_with_a_v(agent))


def _interrupted(game: Game, settings: Rollouts, agent: Agent | None) -> Policy:
    return Interrupted(replace(_with_a_v(agent), spread=None), settings.held_steps)


def _with_a_v(agent: Agent | None) -> Agent:
    assert agent is not None  # the config has been checked
    if agent.body.vision is None:
        raise UserError("rollouts.agent names a run whose C sees the game without a V: name one "
                        "that has a V")
    return agent


def _scripted(game: Game, settings: Rollouts, agent: Agent | None) -> Policy:
    scripted, (least, most) = scripted_player(game), settings.stochasticity

    def player(rng: np.random.Generator) -> Player:
        return scripted(rng, float(rng.uniform(least, most)))

    return EachEpisode(player)


def scripted_player(game: Game) -> Callable[[np.random.Generator, float], Player]:
    """Who plays a game by rule: a generator and a share of random actions -> a player.

    Raises:
        UserError: nobody does.
    """
    if game.scripted is None:
        raise UserError(f"{game.name} has no scripted player: ask for other rollouts.policies, "
                        "e.g. held")
    return game.scripted


def by_rule_or_held(game: Game, settings: Rollouts) -> tuple[Policy, str]:
    """Who plays where nobody says who, and its name: by rule where the game has a player that does,
    as random as data are, else actions held for a while."""
    name = "held" if game.scripted is None else "scripted"
    return policy_named(name)(game, settings, None), name


# Their order is part of every episode's seed: new rows go to the end.
POLICIES: dict[str, MakePolicy] = {
    "network": _network, "brownian": _brownian, "held": _held, "controller": _controller,
    "candidates": _candidates,
    "scripted": _scripted, "interrupted": _interrupted,
}


def policy_named(name: str) -> MakePolicy:
    """A row of the table, or the function at ``path/to/file.py:NAME``.

    Raises:
        UserError: there is none.
    """
    if is_plugin(name):
        return cast(MakePolicy, load(name, "function that makes a policy", FunctionType))
    if name not in POLICIES:
        raise UserError(f"no policy {name}: {', '.join(POLICIES)} are known, or "
                        "path/to/file.py:NAME")
    return POLICIES[name]
