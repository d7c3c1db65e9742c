"""Games in which every action is done several times."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from conftest import command, refused
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from worldmodels_repro.config import Config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.envs.repeated import Repeated
from worldmodels_repro.errors import UserError

Episode = tuple[list[np.ndarray], list[float], bool, bool]


def _played(name: str, renderer: str, actions: np.ndarray, seed: int = 3) -> Episode:
    """Frames, rewards and how it ended, of an episode of these actions (T, A)."""
    env = game_named(name).make(renderer)  # type: ignore[arg-type]
    frames, rewards, terminated, truncated = [env.reset(seed=seed)[0].copy()], [], False, False
    for action in actions:
        frame, reward, terminated, truncated, _ = env.step(action)
        frames.append(frame.copy())
        rewards.append(float(reward))
        if terminated or truncated:
            break
    env.close()
    return frames, rewards, terminated, truncated


def _same(one: Episode, times: int, many: Episode) -> None:
    """Whether an episode is that of ``one``, several steps at a time."""
    frames, rewards, *ended = many
    last = len(one[1])
    at = [min(times * step, last) for step in range(len(frames))]
    for step, frame in zip(at, frames, strict=True):
        np.testing.assert_array_equal(frame, one[0][step])
    sums = [sum(one[1][first:until]) for first, until in itertools.pairwise(at)]
    np.testing.assert_allclose(rewards, sums, atol=1e-9)
    assert tuple(ended) == one[2:]


@pytest.mark.parametrize("renderer", ["fast", "original"])
def test_a_lap_by_twos(renderer: str) -> None:
    rng = np.random.default_rng(1)
    actions = rng.uniform([-1, 0, 0], [1, 1, 0.2], (60, 3)).astype(np.float32)
    _same(_played("car_racing", renderer, actions.repeat(2, axis=0)), 2,
          _played("car_racing@2", renderer, actions))


def test_who_leaves_the_field_in_the_middle_of_an_action() -> None:
    ahead = np.tile(np.array([0.0, 1.0, 0.0], np.float32), (300, 1))
    one = _played("car_racing", "fast", ahead, seed=8)
    assert one[2] and len(one[1]) % 4
    _same(one, 4, _played("car_racing@4", "fast", ahead, seed=8))


@pytest.mark.skipif(find_spec("vizdoom") is None, reason="vizdoom is not installed")
@pytest.mark.parametrize("renderer", ["fast", "original"])
def test_a_death_by_fours(renderer: str) -> None:
    still = np.zeros((700, 1), np.float32)
    one = _played("take_cover", renderer, still, seed=5)
    many = _played("take_cover@4", renderer, still, seed=5)
    assert one[2] and many[2] and sum(many[1]) == sum(one[1])
    # ViZDoom has no picture of a death: the last that was drawn stands in for it.
    _same((one[0][:len(many[0]) * 4 - 7], one[1][:len(many[1]) * 4 - 4], False, False), 4,
          (many[0][:-1], many[1][:-1], False, False))


def test_time_is_up_as_ever() -> None:
    swing = np.zeros((100, 1), np.float32)
    _, rewards, terminated, truncated = _played("pendulum@4", "fast", swing)
    assert (len(rewards), terminated, truncated) == (50, False, True)
    states = game_named("pendulum@4").make_states()
    one = game_named("pendulum").make_states()
    states.reset(seed=1), one.reset(seed=1)
    push = np.array([1.0], np.float32)
    seen = [one.step(push)[0] for _ in range(4)]
    np.testing.assert_array_equal(states.step(push)[0], seen[-1])


def test_the_fast_ones_end_with_the_game_s_time() -> None:
    env = game_named("car_racing@2").make("fast")
    assert isinstance(env, Repeated)
    env.reset(seed=1)
    brake = np.array([0.0, 0.0, 1.0], np.float32)
    assert [env.step(brake)[3] for _ in range(500)] == [False] * 499 + [True]
    env.reset(seed=1)
    assert not env.step(brake)[3]


def test_what_a_name_says() -> None:
    game = game_named("take_cover@4+noise")
    assert (game.repeat, game.max_steps, game.fps, game.changed) == (4, 525, 8, "noise")
    assert game_named("cube_crash@20").fps == 1
    assert Config(game="take_cover@4").game == "take_cover@4"
    assert Config(game="mine.py:GAME@2").game == "mine.py:GAME@2"
    schema = Draft202012Validator(Config.model_json_schema())
    for name in ("car_racing@2", "mine.py:GAME@2", "pong"):
        schema.validate({"game": name})
    for name in ("car_racing@", "car_racing@0", "cars@2"):
        assert not schema.is_valid({"game": name})
        with pytest.raises(ValidationError, match="is not known"):
            Config(game=name)


@pytest.mark.parametrize("name", ["car_racing@3", "car_racing@1"])
def test_what_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"can last 2, 4, 5, 8, 10$"):
        game_named(name)


def test_a_run_of_what_does_not_fit(tmp_path: Path) -> None:
    result = command("rollouts", "--config", "quick", "--run", str(tmp_path / "run"),
                     "--set", "game=car_racing@3")
    assert "can last 2, 4, 5" in refused(result)
