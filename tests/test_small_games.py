"""Pong and CubeCrash: what they are, how they are drawn, who plays them by rule."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from worldmodels_repro.envs import pong
from worldmodels_repro.envs.cube_crash import CubeCrash
from worldmodels_repro.envs.pong import Pong
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.envs.small import white_place
from worldmodels_repro.watch.window import pressed

STAY = 0


def _play(name: str, seed: int, share: float) -> tuple[np.ndarray, list[float]]:
    """Frames and rewards of an episode of the game's own player."""
    game = game_named(name)
    assert game.scripted is not None
    env, player = game.make("original"), game.scripted(np.random.default_rng(seed), share)
    frame, _ = env.reset(seed=seed)
    frames, rewards, over = [frame], [], False
    while not over:
        frame, reward, terminated, truncated, _ = env.step(player.act(frame))
        frames.append(frame)
        rewards.append(float(reward))
        over = terminated or truncated
    return np.stack(frames), rewards


@pytest.mark.parametrize("name", ["pong", "cube_crash"])
def test_gymnasiums_checker_is_content(name: str) -> None:
    env = gymnasium.make(game_named(name).judge_id, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


@pytest.mark.parametrize("name", ["pong", "cube_crash"])
def test_a_seed_is_an_episode(name: str) -> None:
    first, second = (_play(name, 3, 0.5) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1]
    assert first[0].shape[1:] == (64, 64, 3) and first[0].dtype == np.uint8
    # Drawn at 32 pixels, twice as large: halving loses nothing.
    np.testing.assert_array_equal(first[0], first[0][:, ::2, ::2].repeat(2, 1).repeat(2, 2))


def test_the_ball_flies_a_pixel_a_step_and_is_where_the_frame_shows_it() -> None:
    env = Pong()
    frame, _ = env.reset(seed=1)
    places = [white_place(frame)]
    for _ in range(8):
        places.append(white_place(env.step(STAY)[0]))
    np.testing.assert_allclose(places[0], [16.0, 16.0], atol=0.01)
    lengths = np.linalg.norm(np.diff(places, axis=0), axis=1)
    # The place weighs bright pixels more than their share: a quarter of a pixel off at most.
    np.testing.assert_allclose(lengths, 1.0, atol=0.3)
    moved = places[8] - places[0]
    np.testing.assert_allclose(moved / np.linalg.norm(moved), env.direction, atol=0.1)


def test_what_the_serve_tells_is_where_the_ball_goes() -> None:
    for seed in range(5):
        env = Pong()
        env.reset(seed=seed)
        sine, cosine = pong.serve(seed)
        np.testing.assert_allclose(env.direction, [cosine, sine], rtol=1e-6)


def test_a_paddle_returns_the_ball_and_a_miss_ends_the_episode() -> None:
    returned = missed = 0
    for seed in range(20):
        env = Pong()
        env.reset(seed=seed)
        before, over = env.direction.copy(), False
        for _ in range(400):
            _, reward, over, _, _ = env.step(STAY)
            if reward:
                returned += 1
                assert env.direction[0] == -before[0]
                before = env.direction.copy()
            if over:
                missed += 1
                assert env._missed
                break
    assert returned > 0 and missed > 0


def test_nine_choices_move_two_paddles() -> None:
    for choice in range(9):
        env = Pong()
        env.reset(seed=1)
        before = list(env._tops)
        env.step(choice)
        left, right = (after - there for after, there in zip(env._tops, before, strict=True))
        assert (left, right) == ((0, -1, 1)[choice // 3], (0, -1, 1)[choice % 3])


def test_the_less_is_random_the_better_it_is_played() -> None:
    for name, gap in (("pong", 3.0), ("cube_crash", 0.5)):
        good, bad = (np.mean([sum(_play(name, seed, share)[1]) for seed in range(12)])
                     for share in (0.0, 1.0))
        assert good > bad + gap, name


def test_cube_crash_ends_at_the_wall() -> None:
    returns = set()
    for seed in range(30):
        env = CubeCrash()
        env.reset(seed=seed)
        rewards, over = [], False
        while not over:
            _, reward, over, _, _ = env.step(STAY)
            rewards.append(reward)
        middle = env._hole + 4
        assert rewards[-1] == (1.0 if abs(env._x + 0.5 - middle) <= 2.5 else -1.0)
        assert not any(rewards[:-1])
        returns.add(rewards[-1])
    assert returns == {1.0, -1.0}


@pytest.mark.parametrize(("keys", "choice"), [
    (set(), 0), ({"w"}, 3), ({"s"}, 6), ({"up"}, 1), ({"down"}, 2), ({"w", "down"}, 5),
])
def test_keys_of_two_paddles_add_up(keys: set[str], choice: int) -> None:
    assert int(np.argmax(pressed(game_named("pong"), keys))) == choice


def test_pong_in_the_mirror() -> None:
    """The mirrored actions in the mirrored field give the mirrored frames, colours exchanged."""
    game = game_named("pong")
    assert game.mirrored is not None
    one, other = Pong(), Pong()
    one.reset(seed=4)
    other.reset(seed=4)
    other.direction[0] *= -1.0
    rng: Any = np.random.default_rng(0)
    for _ in range(12):
        action = game.random_action(rng)
        first = one.step(int(action.argmax()))[0]
        second = other.step(int(game.mirrored(action).argmax()))[0]
        np.testing.assert_array_equal(first[:, ::-1, ::-1], second)
