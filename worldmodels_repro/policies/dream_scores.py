"""How an agent, and one that acts at random, fare in a dream: to be held against the real game."""

from __future__ import annotations

from functools import partial
from typing import Any

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.policies.policy import EachEpisode
from worldmodels_repro.policies.random import UniformlyRandom
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.statistics import summary
from worldmodels_repro.worlds.agent import Agent
from worldmodels_repro.worlds.dream import Dream, DreamWorld
from worldmodels_repro.worlds.episodes import Played, Policy, play


def dream_scores(agent: Agent, dream: Dream, episodes: int, seed: int) -> dict[str, Any]:
    """The agent and uniformly random actions on the same dreams.

    Beside the scores stand the episodes' mean lengths: where random actions last much longer or
    shorter than in the real game, the dream is wrong.

    Args:
        agent: whose C acts.
        dream: where; it need not be the one that C evolved in.
        episodes: how many, of ``seed``: no other purpose dreams them.
    """
    seeds = [episode_seed(seed, "dream", k) for k in range(episodes)]
    controllers = Controllers(agent.body, agent.weights[None], episodes)
    played = {"agent": play_in_dream(dream, controllers, seeds),
              "random": play_randomly(dream, seeds)}
    return {"temperature": dream.temperature,
            "results": {player: summary(part.returns.tolist()) | {
                "mean_steps": round(float(part.steps.mean()), 1)}
                for player, part in played.items()},
            "episodes": {player: [{"seed": number, "score": round(float(score), 4),
                                   "steps": int(steps)}
                                  for number, score, steps in zip(seeds, part.returns, part.steps,
                                                                  strict=True)]
                         for player, part in played.items()}}


def play_randomly(dream: Dream, seeds: list[int]) -> Played:
    """A dream of uniformly random actions for each seed."""
    game = game_named(dream.game)
    # Drawn by themselves: not the dream's own draws.
    return play_in_dream(dream, EachEpisode(partial(UniformlyRandom, game), 1), seeds)


def play_in_dream(dream: Dream, policy: Policy, seeds: list[int]) -> Played:
    """A dream for each seed, all at once. A dream has features, no frames."""
    return play(DreamWorld(dream, len(seeds)), policy, seeds, game_named(dream.game).max_steps)
