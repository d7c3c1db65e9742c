"""``python -m benchmarks.truth --run logs/doom``: is M's dream true?

Policies that see nothing play in the dream and in the game; where scores differ, M is wrong. A
dream that is right about random actions may still be kind to an action that is held for good, which
random actions never show, and which is the first thing that an evolving C finds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from worldmodels_repro.config import load_config
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.policies.dream_scores import play_in_dream
from worldmodels_repro.policies.policy import EachEpisode, Player
from worldmodels_repro.policies.random import Held, UniformlyRandom
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.statistics import bootstrap_interval
from worldmodels_repro.verbs.numbers import count
from worldmodels_repro.worlds.dream import load_dream
from worldmodels_repro.worlds.episodes import play
from worldmodels_repro.worlds.frames import FramesWorld


class Always:
    """One action for the whole episode."""

    def __init__(self, action: np.ndarray):
        self._action = action.astype(np.float32)

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The action (A,), whatever is seen."""
        return self._action


POLICIES: dict[str, Callable[[Game, np.random.Generator], Player]] = {
    "uniformly random": UniformlyRandom,
    "held 1 to 10 steps": lambda game, rng: Held(game, rng, (1, 10)),
    "held 1 to 60 steps": lambda game, rng: Held(game, rng, (1, 60)),
    "always lowest": lambda game, rng: Always(game.low),
    "always middle": lambda game, rng: Always((game.low + game.high) / 2),
    "always highest": lambda game, rng: Always(game.high),
}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--episodes", type=count, default=100, metavar="N")
    options = parser.parse_args()
    try:
        compare(options.run, options.episodes)
    except UserError as error:
        print(f"truth: {error}", file=sys.stderr)
        return 2
    return 0


def compare(run: Path, episodes: int) -> None:
    """Every policy in the dream of a run, at the temperature that the run says, and in its game.

    Raises:
        UserError: the run has no M, or one without scores, or the game can't be played here.
    """
    config = load_config(run / "config.yaml")
    if not (config.memory.done or config.memory.reward):
        raise UserError(f"M of {run} learned neither endings nor rewards: it has no score to dream")
    game, dream = game_named(config.game), load_dream(run, config)
    print(f"| mean score of {episodes} | in the dream at {dream.temperature:g} | 95 % interval "
          f"| {game.judge_id} | 95 % interval |\n|---|---|---|---|---|")
    world = FramesWorld(game, 1, "fast")
    dreamt, played = ([episode_seed(config.seed, purpose, k) for k in range(episodes)]
                      for purpose in ("dream", "validation"))
    for name, make in POLICIES.items():
        policy = EachEpisode(partial(make, game), 1)
        scores = play(world, policy, played, game.max_steps).returns
        print(f"| {name} | {_cells(play_in_dream(dream, policy, dreamt).returns)} "
              f"| {_cells(scores)} |", flush=True)


def _cells(scores: np.ndarray) -> str:
    low, high = bootstrap_interval(scores)
    return f"{scores.mean():.0f} | {low:.0f} to {high:.0f}"


if __name__ == "__main__":
    sys.exit(main())
