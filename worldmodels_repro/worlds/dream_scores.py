"""How an agent, and one that acts at random, fare in a dream: to be held against the real game."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from worldmodels_repro.envs.registry import GAMES
from worldmodels_repro.policies.random import RandomPolicy, UniformlyRandom
from worldmodels_repro.seeds import episode_seed, generator
from worldmodels_repro.statistics import summary
from worldmodels_repro.worlds.agent import Agent
from worldmodels_repro.worlds.dream import Dream, DreamWorld
from worldmodels_repro.worlds.episodes import Played, play


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
    world = DreamWorld(dream, episodes)
    weights = np.repeat(agent.weights[None], episodes, axis=0)
    played = {"agent": play(world, agent.body.shape, weights, seeds, GAMES[dream.game].max_steps),
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
    # Drawn by themselves: not the dream's own draws.
    return play_policies(dream, [UniformlyRandom(GAMES[dream.game], generator(seed, 1))
                                 for seed in seeds], seeds)


def play_policies(dream: Dream, policies: Sequence[RandomPolicy], seeds: list[int]) -> Played:
    """A dream for each policy, of its seed. A dream has no frames: policies that need none."""
    game, world = GAMES[dream.game], DreamWorld(dream, len(seeds))
    nothing = np.zeros(0, np.uint8)
    returns, steps = np.zeros(len(seeds)), np.zeros(len(seeds), int)
    for slot, seed in enumerate(seeds):
        world.reset(slot, seed)
    live = np.ones(len(seeds), bool)
    while live.any():
        rewards, ended = world.advance(np.stack([policy.act(nothing) for policy in policies]))
        returns += rewards
        for slot in map(int, np.flatnonzero(live & (ended | (world.age >= game.max_steps)))):
            live[slot], steps[slot] = False, world.age[slot]
            world.rest(slot)
    return Played(returns, steps)
