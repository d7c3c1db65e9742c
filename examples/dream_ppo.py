"""Another library learns in a run's dream, and is judged in its game.

    pip install -e '.[sb3]'
    python examples/dream_ppo.py logs/doom --steps 200000

PPO of stable-baselines3 sees what C sees: z, and M's state. It never meets the game before it is
judged there.
"""

from __future__ import annotations

import argparse

import gymnasium
import numpy as np
from gymnasium.wrappers import RescaleAction
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv


def main() -> None:
    """Learn, then judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run", help="a run folder whose memory stage is done, e.g. logs/doom")
    parser.add_argument("--steps", type=int, default=200_000, help="of the dream")
    parser.add_argument("--episodes", type=int, default=20, help="of the game, to judge")
    options = parser.parse_args()

    def made(name: str) -> gymnasium.Env:
        env = gymnasium.make(f"worldmodels_repro:worldmodels/{name}-v0", run=options.run)
        return Monitor(RescaleAction(env, np.float32(-1.0), np.float32(1.0)))

    dreams = DummyVecEnv([lambda: made("Dream")] * 8)
    model = PPO("MlpPolicy", dreams, n_steps=512, batch_size=256, seed=1, device="cpu")
    model.learn(options.steps)
    for name in ("Dream", "Seen"):
        returns, _ = evaluate_policy(model, made(name), options.episodes,
                                     return_episode_rewards=True)
        scores = np.array(returns)
        where = "in the dream" if name == "Dream" else "in the game"
        print(f"{where}: {np.mean(scores):.0f} \u00b1 {np.std(scores, ddof=1):.0f} "
              f"over {len(scores)} episodes")


if __name__ == "__main__":
    main()
