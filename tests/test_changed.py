"""Worlds that an agent does not know: what is changed, and that nothing else is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import command, refused

from worldmodels_repro.envs import changed
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.storage import load_json

GAME = game_named("car_racing")


def _frames(name: str, seed: int = 3, steps: int = 60) -> tuple[np.ndarray, list[float]]:
    """Frames and rewards of an episode at full gas."""
    env = game_named(name).make("original")
    frames, rewards = [env.reset(seed=seed)[0]], []
    for _ in range(steps):
        frame, reward, *_ = env.step(np.array([0.0, 1.0, 0.0], np.float32))
        frames.append(frame)
        rewards.append(float(reward))
    env.close()
    return np.stack(frames).astype(int), rewards


@pytest.fixture(scope="module")
def known() -> tuple[np.ndarray, list[float]]:
    return _frames("car_racing")


@pytest.mark.parametrize("name", ["colours", "bars", "blob", "noise"])
def test_a_changed_picture_leaves_the_game_as_it_is(
        name: str, known: tuple[np.ndarray, list[float]]) -> None:
    frames, rewards = _frames(f"car_racing+{name}")
    assert rewards == known[1]
    differ = np.abs(frames - known[0]).max(axis=3) > 2  # (T, 64, 64)
    share = differ.mean()
    if name == "bars":
        assert differ[:, :, 8:-8].mean() == 0 and (frames[:, :, :7] == 0).all()
    elif name == "blob":
        assert 0.005 < share < 0.05
        reddest = (frames[-1, :, :, 0] - frames[-1, :, :, 1:].max(axis=2)).argmax()
        column = np.unravel_index(reddest, (64, 64))[1]
        assert column < 24
    else:
        assert share > 0.5
    again, _ = _frames(f"car_racing+{name}", steps=5)
    np.testing.assert_array_equal(again, frames[:6])  # by the seed alone


def test_a_slippery_road_is_another_game(known: tuple[np.ndarray, list[float]]) -> None:
    env: Any = gymnasium.make("CarRacing-v3", disable_env_checker=True)
    slippery = changed.Slippery(env, 0.7)
    slippery.reset(seed=3)
    assert {tile.road_friction for tile in env.unwrapped.road} == {0.7}
    frames, _ = _frames("car_racing+friction")
    np.testing.assert_array_equal(frames[0], known[0][0])
    assert (frames[-1] != known[0][-1]).any()
    env.close()


def test_a_colour_is_the_episode_s_own() -> None:
    picture = np.full((4, 4, 3), 100, np.uint8)
    tint = np.array([1.0, 0.0, -0.5])
    assert changed.tinted(picture, np.random.default_rng(0), tint)[0, 0].tolist() == [151, 100, 74]


def test_letters_are_written_on_doom_s_screen() -> None:
    screen = np.zeros((240, 320, 3), np.uint8)
    white = changed.written(screen.copy(), np.random.default_rng(0), np.zeros(3)).max(axis=2) > 0
    rows = np.flatnonzero(white.any(axis=1))
    assert 500 < white.sum() < 8000 and rows[0] > 30 and rows[-1] < 120


@pytest.mark.slow  # whole episodes of the original game, in five worlds
def test_all_of_a_game_s_worlds_are_judged(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("rollouts", "latents"))
    result = command("evaluate", "--run", run, "--worlds", "--set", "evaluate.episodes=2")
    assert result.returncode == 0, result.stderr
    told = load_json(run / "evaluate" / "worlds.json", dict)
    assert list(told["worlds"]) == ["", *GAME.changes]
    assert told["worlds"][""] == load_json(tiny_run / "evaluate" / "evaluation.json",
                                           dict)["results"]["agent"]
    inner = load_json(run / "worlds" / "bars" / "evaluate" / "evaluation.json", dict)
    assert (inner["environment"], inner["unmodified"]) == ("CarRacing-v3 with bars", False)
    seeds = [[row["seed"] for row in load_json(place / "evaluate" / "evaluation.json", dict)[
        "episodes"]["agent"]] for place in (run, run / "worlds" / "bars")]
    assert seeds[0] == seeds[1]


def test_a_world_that_is_none_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    said = refused(command("evaluate", "--run", tiny_run, "--set", "evaluate.changed=bar"))
    assert "did you mean bars" in said and "friction" in said
