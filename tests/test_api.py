"""A run without a command line: three lines of Python, and the game as features."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import worldmodels_repro
from worldmodels_repro.errors import UserError
from worldmodels_repro.policies.policy import EachEpisode
from worldmodels_repro.policies.random import UniformlyRandom
from worldmodels_repro.storage import load_json


def test_three_lines_play_what_the_judge_judged(tiny_run: Path) -> None:
    run = worldmodels_repro.load(tiny_run)
    played = run.play(episodes=2)
    judged = load_json(next(tiny_run.glob("evaluat*/evaluation.json")), dict)["episodes"]["agent"]
    np.testing.assert_allclose(played.returns, [row["score"] for row in judged], atol=1e-4)
    np.testing.assert_array_equal(played.steps, [row["steps"] for row in judged])


def test_any_policy_plays_in_the_game_and_in_the_dream(tiny_run: Path) -> None:
    run = worldmodels_repro.load(tiny_run)
    at_random = EachEpisode(lambda rng: UniformlyRandom(run.game, rng))
    assert run.play(at_random, seeds=[5]).steps[0] > 0
    dreamt = run.play(world="dream", episodes=6, temperature=1.2)
    assert len(set(dreamt.returns)) > 1
    np.testing.assert_array_equal(
        run.play(run.policy("dream", slots=6), world="dream", episodes=6, temperature=1.2).returns,
        dreamt.returns)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name a run folder"):
        worldmodels_repro.load(tmp_path)


def test_the_game_as_features_is_what_the_agent_is_judged_in(tiny_run: Path) -> None:
    """gymnasium's checker is content, and C there scores what the judge gave it."""
    env = gymnasium.make("worldmodels_repro:worldmodels/Seen-v0", run=tiny_run)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*(infinity|unlimited|unbound).*")
        check_env(env.unwrapped, skip_render_check=True)
    run = worldmodels_repro.load(tiny_run)
    judged = load_json(next(tiny_run.glob("evaluat*/evaluation.json")), dict)["episodes"]["agent"]
    policy = run.policy("dream", slots=1)
    policy.reset(0, 0, 0)
    features, _ = env.reset(seed=judged[0]["seed"])
    score, over = 0.0, False
    while not over:
        features, reward, terminated, truncated, _ = env.step(policy.act(features[None])[0])
        score, over = score + float(reward), terminated or truncated
    assert score == pytest.approx(judged[0]["score"], abs=1e-3)


def test_gymnasium_finds_the_environments_by_the_packages_name(tiny_run: Path) -> None:
    program = ("import gymnasium\n"
               "env = gymnasium.make('worldmodels_repro:worldmodels/Dream-v0', "
               f"run={str(tiny_run)!r})\n"
               "print(env.reset(seed=1)[0].shape)\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "(64,)", done.stderr
