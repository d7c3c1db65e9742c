"""The same settings in stable-baselines3: is a learner here as good as a known one?

::

    python -m benchmarks.yardstick                       # CP_basic and PD_td3, five seeds each
    python -m benchmarks.yardstick PD_td3 --seeds 2 --steps 5000

It is judged on the same held-out episodes as a run of the config, with the same interval; the runs
of ``bash scripts/testbench.sh`` stand beside it where they are done (``logs/testbench``). That
library's DQN has no double Q and no prioritised replay: its row is of single Q, as LL_single is.
Needs the extra ``sb3``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from worldmodels_repro.config import Config, load_config
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.statistics import bootstrap_interval
from worldmodels_repro.storage import load_json


def main() -> int:
    """Train, judge and print a row for each config."""
    options = _parser().parse_args()
    rows = []
    for name in options.names:
        config = load_config(f"testbench/{name}")
        theirs = []
        for seed in range(1, options.seeds + 1):
            score = judged(config, seed, options.steps or config.learn.steps)
            print(json.dumps({"config": name, "seed": seed, "score": score}), flush=True)
            theirs.append(score)
        ours = [load_json(path, dict)["results"]["agent"]["mean"] for path in sorted(
            (options.runs / name).glob("seed-*/evaluate/evaluation.json"))]
        rows.append((name, theirs, ours))
    print("\n| config | stable-baselines3 | here |\n|---|---|---|", file=sys.stderr)
    for name, theirs, ours in rows:
        print(f"| {name} | {told(theirs)} | {told(ours)} |", file=sys.stderr)
    return 0


def told(scores: list[float]) -> str:
    """The mean over seeds, with its interval."""
    if not scores:
        return "not run"
    low, high = bootstrap_interval(np.array(scores))
    return f"{np.mean(scores):.1f} ({low:.1f} to {high:.1f}, {len(scores)} seeds)"


def judged(config: Config, seed: int, steps: int) -> float:
    """The mean score of the other library's agent on the judge's held-out episodes."""
    import gymnasium

    game = game_named(config.game)
    env = gymnasium.make(game.judge_id)
    learner = learner_of(config, game, env, seed)
    learner.learn(steps)
    scores = []
    for number in range(config.evaluate.episodes):
        seen, _ = env.reset(seed=episode_seed(config.evaluate.seed, "evaluation", number))
        score, over = 0.0, False
        while not over:
            action, _ = learner.predict(seen, deterministic=True)
            seen, reward, terminated, truncated, _ = env.step(action)
            score, over = score + float(reward), terminated or truncated
        scores.append(score)
    return round(float(np.mean(scores)), 3)


def learner_of(config: Config, game: Game, env: Any, seed: int) -> Any:
    """The config's settings as that library names them."""
    from stable_baselines3 import DQN, TD3
    from stable_baselines3.common.noise import NormalActionNoise
    from torch import nn, set_num_threads

    set_num_threads(1)
    settings = config.learn
    shared: dict[str, Any] = {
        "learning_rate": settings.learning_rate, "buffer_size": settings.buffer,
        "learning_starts": settings.delay, "batch_size": settings.batch,
        "gamma": settings.gamma, "seed": seed, "device": "cpu"}
    policy: dict[str, Any] = {
        "net_arch": list(settings.layers),
        "activation_fn": nn.ReLU if settings.activation == "relu" else nn.Tanh}
    if config.controller.by == "dqn":
        return DQN("MlpPolicy", env, train_freq=settings.every, gradient_steps=settings.updates,
                   target_update_interval=settings.target_every,
                   exploration_initial_eps=settings.epsilon[0],
                   exploration_final_eps=settings.epsilon[1],
                   exploration_fraction=min(1.0, settings.epsilon_steps / settings.steps),
                   policy_kwargs=policy, **shared)
    shared["learning_starts"] = max(settings.delay, settings.random_steps)
    return TD3("MlpPolicy", env, train_freq=(1, "episode"), gradient_steps=-1,
               tau=1.0 - settings.polyak, policy_delay=settings.policy_every,
               target_policy_noise=settings.target_noise, target_noise_clip=settings.target_clip,
               action_noise=NormalActionNoise(np.zeros(game.actions), np.full(
                   game.actions, settings.noise)), policy_kwargs=policy, **shared)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.yardstick", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="CONFIG", default=["CP_basic", "PD_td3"],
                        help="configs of configs/testbench (default: CP_basic PD_td3)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--steps", type=int, metavar="N", help="default: the config's")
    parser.add_argument("--runs", type=Path, default=Path("logs/testbench"), metavar="FOLDER",
                        help="where runs of the same configs lie (default: logs/testbench)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
