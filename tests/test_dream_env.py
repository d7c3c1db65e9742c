"""The dream as a gymnasium environment: as gymnasium wants it, and as other libraries use it."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import picture
from gymnasium.utils.env_checker import check_env

import worldmodels_repro.envs  # noqa: F401 - registers the environments
from worldmodels_repro.errors import UserError
from worldmodels_repro.worlds.dream_env import DreamEnv, DreamVectorEnv


def _many(run: Path, **options: Any) -> DreamVectorEnv:
    """Three dreams in lockstep."""
    many = gymnasium.make_vec("worldmodels/Dream-v0", num_envs=3, run=run,
                              vectorization_mode="vector_entry_point", **options)
    assert isinstance(many, DreamVectorEnv)
    return many


@pytest.mark.parametrize("observation", ["features", "latent"])
def test_gymnasiums_checker_is_content(tiny_run: Path, observation: str) -> None:
    env = gymnasium.make("worldmodels/Dream-v0", run=tiny_run, observation=observation,
                         render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*(infinity|unlimited|unbound).*")
        check_env(env.unwrapped)
    assert env.observation_space.shape == ((64,) if observation == "features" else (32,))
    assert env.action_space == gymnasium.spaces.Box(np.array([-1, 0, 0], np.float32),
                                                    np.array([1, 1, 1], np.float32))


def test_render_is_what_v_decodes(tiny_run: Path) -> None:
    env = gymnasium.make("worldmodels/Dream-v0", run=str(tiny_run), render_mode="rgb_array")
    env.reset(seed=1)
    first = picture(env)
    for _ in range(5):
        env.step(env.action_space.sample())
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    assert np.any(first != picture(env))


def test_many_dreams_are_as_many_single_ones(tiny_run: Path) -> None:
    """Over several episodes each, restarts included: no transition joins two episodes."""
    many = _many(tiny_run, temperature=1.3)
    single = [gymnasium.make("worldmodels/Dream-v0", run=tiny_run, temperature=1.3)
              for _ in range(3)]
    many._dreams.most = 7
    for env in single:
        assert isinstance(env.unwrapped, DreamEnv)
        env.unwrapped._dreams.most = 7
    observations, _ = many.reset(seed=5)
    for k, env in enumerate(single):
        np.testing.assert_array_equal(observations[k], env.reset(seed=5 + k)[0])
    ended = 0
    for _ in range(30):
        actions = many.action_space.sample()
        observations, rewards, terminated, truncated, infos = many.step(actions)
        for k, env in enumerate(single):
            after, reward, over, cut, _ = env.step(actions[k])
            assert (rewards[k], terminated[k], truncated[k]) == (reward, over, cut)
            if over or cut:
                ended += 1
                assert infos["_final_obs"][k]
                np.testing.assert_array_equal(infos["final_obs"][k], after)
                after, _ = env.reset()
            np.testing.assert_array_equal(observations[k], after)
    assert ended >= 9


def test_vectors_of_dreams_say_how_they_restart(tiny_run: Path) -> None:
    many = _many(tiny_run, render_mode="rgb_array")
    assert many.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode.SAME_STEP
    assert many.observation_space.shape == (3, 64)
    assert many.action_space.shape == (3, 3)
    many.reset(seed=[1, 2, 3])
    frames = many.render()
    assert frames is not None
    assert [frame.shape for frame in frames] == [(64, 64, 3)] * 3
    with pytest.raises(ValueError, match="2 seeds"):
        many.reset(seed=[1, 2])


@pytest.mark.parametrize(("options", "said"), [
    ({"run": "logs/none"}, "memory stage"),
    ({"observation": "pixels"}, "features or latent"),
])
def test_what_is_not_there_is_named(tiny_run: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        gymnasium.make("worldmodels/Dream-v0", **({"run": tiny_run} | options))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("stable_baselines3") is None,
                    reason="stable-baselines3 is not installed: pip install -e '.[sb3]'")
def test_stable_baselines3_trains_in_it(tiny_run: Path) -> None:
    """In a process of its own: torch and TensorFlow need not share one."""
    program = ("import gymnasium, numpy as np, worldmodels_repro.envs\n"
               "from stable_baselines3 import PPO\n"
               f"env = gymnasium.make('worldmodels/Dream-v0', run={str(tiny_run)!r})\n"
               "model = PPO('MlpPolicy', env, n_steps=32, batch_size=16, n_epochs=1, seed=1)\n"
               "before = [p.detach().numpy().copy() for p in model.policy.parameters()]\n"
               "model.learn(64)\n"
               "after = [p.detach().numpy() for p in model.policy.parameters()]\n"
               "print(model.num_timesteps, any(np.any(a != b) for a, b in zip(before, after)))\n")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                            timeout=120)
    assert result.stdout.split() == ["64", "True"], result.stderr
