"""Another library's learner on the fast CarRacing, and on gymnasium's for the same wall time.

    pip install -e '.[sb3]'
    python examples/car_racing_ppo.py --minutes 30

PPO of stable-baselines3 sees the same pictures either way: gymnasium's frame without instruments,
64 by 64, grey, four at a time; each action lasts four steps. Both agents are judged on gymnasium's
own CarRacing-v3, on tracks that neither has met.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import GrayscaleObservation, MaxAndSkipObservation, TransformObservation
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecFrameStack, VecNormalize

FAST, ORIGINAL = "worldmodels_repro:worldmodels/CarRacingFast-v0", "CarRacing-v3"
HELD, STACKED = 4, 4  # steps an action lasts; pictures that are seen at once
JUDGED = 10_000  # the first seed to judge on; training's are below


def seen(env_id: str) -> gymnasium.Env[Any, Any]:
    """A game whose pictures are (64, 64, 1) grey."""
    env = gymnasium.make(env_id)
    if env_id == ORIGINAL:
        from worldmodels_repro.envs.car_racing import crop_and_resize

        space = gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
        env = TransformObservation(env, crop_and_resize, space)
    return GrayscaleObservation(MaxAndSkipObservation(env, HELD), keep_dim=True)


def games(env_id: str, count: int, seed: int) -> VecEnv:
    """So many of them, a process each."""
    return VecFrameStack(make_vec_env(lambda: seen(env_id), count, seed,
                                      vec_env_cls=SubprocVecEnv), STACKED)


class UntilThen(BaseCallback):
    """Ends learning when the time is up."""

    def __init__(self, seconds: float):
        super().__init__()
        self._until = time.monotonic() + seconds

    def _on_step(self) -> bool:
        return time.monotonic() < self._until


def learnt(env_id: str, options: argparse.Namespace) -> tuple[int, np.ndarray]:
    """Learn on one for so long; the game's steps that were played, and the judged scores (E,)."""
    training = games(env_id, options.games, options.seed)
    # Rewards of about one, and noise that lasts a few steps, as rl-baselines3-zoo has them.
    model = PPO("CnnPolicy", VecNormalize(training, norm_obs=False), n_steps=options.n_steps,
                batch_size=128, n_epochs=4, learning_rate=3e-4, use_sde=True, sde_sample_freq=4,
                policy_kwargs={"log_std_init": -2.0, "ortho_init": False}, seed=options.seed,
                device="cpu")
    model.learn(10**9, UntilThen(60.0 * options.minutes))
    training.close()
    judge = games(ORIGINAL, min(options.games, options.episodes), JUDGED)
    scores, _ = evaluate_policy(model, judge, options.episodes, return_episode_rewards=True)
    judge.close()
    return HELD * model.num_timesteps, np.array(scores)


def words(parser: argparse.ArgumentParser) -> None:
    """Declare how long, and how."""
    parser.add_argument("--minutes", type=float, default=30.0, help="of learning, for each")
    parser.add_argument("--games", type=int, default=8, help="played at once")
    parser.add_argument("--episodes", type=int, default=20, help="to judge each agent on")
    parser.add_argument("--n-steps", type=int, default=256, help="of each game between updates")
    parser.add_argument("--seed", type=int, default=1)


def main() -> None:
    """Learn on each for the same time, then judge both."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    words(parser)
    options = parser.parse_args()
    for env_id in (FAST, ORIGINAL):
        steps, scores = learnt(env_id, options)
        spread = f" ± {np.std(scores, ddof=1):.0f}" if len(scores) > 1 else ""
        print(f"{env_id.rpartition('/')[2]}: {steps:,} steps in "
              f"{options.minutes:g} minutes; on {ORIGINAL} {np.mean(scores):.0f}{spread} over "
              f"{len(scores)} episodes", flush=True)


if __name__ == "__main__":
    main()
