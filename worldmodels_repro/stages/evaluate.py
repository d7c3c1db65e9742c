"""Stage 6: the agent is judged on held-out tracks of the unmodified game (section 3.3, table 1).

The judge is the registered environment as everyone has it, whether C has evolved or learnt; the
fast renderer, early endings and everything else that helps training are off. Every episode's
score is kept as it is played, so an evaluation that was interrupted goes on with the next episode.
Where C evolved in a dream, what it scores there stands beside it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.evolution.players import Players, WorldSpec
from worldmodels_repro.policies.dream_scores import dream_scores
from worldmodels_repro.policies.policy import EachEpisode
from worldmodels_repro.policies.random import UniformlyRandom
from worldmodels_repro.pool import Pool
from worldmodels_repro.progress import Progress
from worldmodels_repro.records import Score
from worldmodels_repro.report import judgement
from worldmodels_repro.run import Run, versions
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.statistics import summary
from worldmodels_repro.storage import append_json_line, load_json_lines, save_json
from worldmodels_repro.worlds.agent import load_agent
from worldmodels_repro.worlds.dream import load_dream
from worldmodels_repro.worlds.episodes import play
from worldmodels_repro.worlds.frames import FramesWorld, StatesWorld

SLOTS = 4  # drawing is the judge's whole cost: more in lockstep would gain nothing


def run(stage_run: Run) -> None:
    """Judge the agent and a uniformly random policy, and write ``evaluation.json``."""
    config = stage_run.config
    settings = config.evaluate
    name = config.game if settings.changed is None else f"{config.game}+{settings.changed}"
    game = game_named(name)
    game.require("original")
    folder = stage_run.begin("evaluate")
    if folder is None:
        return
    agent = load_agent(stage_run.path)
    body = replace(agent.body, game=name)
    log = folder / "episodes.jsonl"
    played = load_json_lines(log, Score)

    def waiting(player: str, episodes: int) -> list[int]:
        """Seeds of the held-out tracks that this player has not driven yet."""
        driven = {row["seed"] for row in played if row["player"] == player}
        seeds = [episode_seed(settings.seed, "evaluation", k) for k in range(episodes)]
        return [seed for seed in seeds if seed not in driven]

    def keep(player: str, seed: int, score: float, steps: int) -> None:
        row: Score = {"player": player, "seed": seed, "score": round(score, 4), "steps": steps}
        append_json_line(log, row)
        played.append(row)
        progress.add(1, f"{player} {score:.0f}")

    total = settings.episodes + settings.random_episodes
    with Progress("evaluate", total, "episodes", len(played)) as progress:
        progress.say(f"{judgement.where(game.title, not game.changed)}, {settings.episodes} "
                     "held-out episodes")
        seeds = waiting("agent", settings.episodes)
        spec = WorldSpec(body, "original", SLOTS)
        if seeds:
            with Players(spec, config.evolve.workers, SLOTS,
                         config.evolve.hang_after) as players:
                for first in range(0, len(seeds), batch := SLOTS * 4):
                    part = seeds[first:first + batch]
                    result = players.play(agent.weights[None], np.zeros(len(part), int), part,
                                          game.max_steps)
                    for seed, score, steps in zip(part, result.returns, result.steps, strict=True):
                        keep("agent", seed, float(score), int(steps))
                    stage_run.checkpoint("evaluate")
        seeds = waiting("random", settings.random_episodes)
        if seeds:
            with Pool(partial(PlaysRandomly, name), config.evolve.workers,
                      config.evolve.hang_after, game.own) as pool:
                for seed, (score, steps) in zip(seeds, pool.map(seeds), strict=True):
                    keep("random", seed, score, steps)
    rows = {player: [row for row in played if row["player"] == player]
            for player in ("agent", "random")}
    shape = agent.body.shape
    dreamt = {}
    if "dream" in config.evolve.worlds:
        dream = load_dream(stage_run.path, config)
        dreamt["dream"] = dream_scores(agent, dream, settings.episodes, settings.seed)
    save_json(folder / "evaluation.json", {
        "environment": game.title, "unmodified": not game.changed, "solved": game.solved,
        "versions": versions(), "agent": agent.origin,
        "controller": {"by": config.controller.by, "inputs": list(agent.body.inputs),
                       "hidden": shape.hidden, "weights": len(agent.weights)},
        "results": {player: summary([row["score"] for row in scores])
                    for player, scores in rows.items() if scores},
        "episodes": {player: [{name: row[name] for name in ("seed", "score", "steps")}
                              for row in scores] for player, scores in rows.items() if scores},
        **dreamt,
    })
    stage_run.finish("evaluate")
    print(judgement.text(judgement.table(stage_run), stage_run.path))


class PlaysRandomly:
    """A worker: an episode of uniformly random actions, (return, steps)."""

    def __init__(self, name: str):
        self._game = game_named(name)
        # It looks at nothing: what need not be drawn is not.
        self._world = (StatesWorld(self._game, 1) if self._game.state
                       else FramesWorld(self._game, 1, "original"))
        self._policy = EachEpisode(partial(UniformlyRandom, self._game))

    def __call__(self, seed: int) -> tuple[float, int]:
        """The episode of this seed."""
        played = play(self._world, self._policy, [seed], self._game.max_steps)
        return float(played.returns[0]), int(played.steps[0])
