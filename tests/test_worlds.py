"""The real game as a world: what happens in one slot is nobody else's business."""

from __future__ import annotations

import numpy as np
import pytest

from worldmodels_repro.envs.policies import RandomNetwork
from worldmodels_repro.envs.registry import GAMES
from worldmodels_repro.worlds.agent import Body, Senses
from worldmodels_repro.worlds.episodes import Played, play
from worldmodels_repro.worlds.real import RealWorld

RNG = np.random.default_rng(0)


def _array(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)


def _body(precision: str, inputs: tuple[str, ...] = ("z", "h")) -> Body:
    vae = {"encoder/mu/kernel": _array(1024, 32), "encoder/mu/bias": _array(32),
           "encoder/logvar/kernel": _array(1024, 32), "encoder/logvar/bias": _array(32)}
    for number, (inside, out) in enumerate([(3, 32), (32, 64), (64, 128), (128, 256)], start=1):
        vae[f"encoder/conv{number}/kernel"] = 0.3 * _array(4, 4, inside, out)
        vae[f"encoder/conv{number}/bias"] = _array(out)
    memory = {"lstm/kernel": _array(35, 1024), "lstm/recurrent_kernel": _array(256, 1024),
              "lstm/bias": _array(1024)}
    return Body("car_racing", vae, memory, inputs, 0, True, True, precision)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_an_episode_does_not_depend_on_its_neighbours_or_its_batch(precision: str) -> None:
    body = _body(precision)
    weights = 0.3 * RNG.standard_normal((7, body.shape.weights)).astype(np.float32)
    seeds = list(range(7))

    def played(world: RealWorld, order: list[int]) -> Played:
        result = play(world, body.shape, weights[order], [seeds[i] for i in order], 120)
        world.close()
        return Played(result.returns[np.argsort(order)], result.steps[np.argsort(order)])

    alone = [played(RealWorld(body, 4, "fast"), [i]) for i in range(7)]
    together = played(RealWorld(body, 4, "fast"), [6, 3, 1, 0, 2, 5, 4])
    single = played(RealWorld(body, 1, "fast"), list(range(7)))
    seven = played(RealWorld(body, 7, "fast"), list(range(7)))
    np.testing.assert_array_equal(np.concatenate([one.returns for one in alone]), together.returns)
    np.testing.assert_array_equal(seven.returns, together.returns)
    np.testing.assert_array_equal(single.returns, together.returns)
    assert len(set(together.returns)) > 1


def test_senses_act_on_z_and_h_before_m_moves() -> None:
    body = _body("f32")
    senses = Senses(body, 2)
    frames = RNG.integers(0, 256, (2, 64, 64, 3), np.uint8)
    noise = np.zeros((2, 32), np.float32)
    first = senses.see(frames, noise).copy()
    np.testing.assert_array_equal(first[:, 32:], 0.0)  # h_0 = 0
    senses.remember(np.ones((2, 3), np.float32))
    second = senses.see(frames, noise).copy()
    np.testing.assert_array_equal(first[:, :32], second[:, :32])
    assert np.abs(second[:, 32:]).max() > 0
    senses.forget(0)
    third = senses.see(frames, noise)
    assert np.abs(third[0, 32:]).max() == 0
    np.testing.assert_array_equal(third[1], second[1])


def test_z_is_a_posterior_sample() -> None:
    body = _body("f32", ("z",))
    frames = RNG.integers(0, 256, (1, 64, 64, 3), np.uint8)
    senses = Senses(body, 1)
    mean = senses.see(frames, np.zeros((1, 32), np.float32)).copy()
    up = senses.see(frames, np.ones((1, 32), np.float32)).copy()
    down = senses.see(frames, -np.ones((1, 32), np.float32)).copy()
    np.testing.assert_allclose(up - mean, mean - down, atol=1e-5)
    assert np.all(up > mean)


def test_the_same_seed_is_the_same_episode_in_a_used_world() -> None:
    body = _body("f32")
    weights = 0.3 * RNG.standard_normal((2, body.shape.weights)).astype(np.float32)
    world = RealWorld(body, 2, "fast")
    first = play(world, body.shape, weights, [11, 12], 30)
    play(world, body.shape, weights, [13, 14], 50)
    np.testing.assert_array_equal(play(world, body.shape, weights, [11, 12], 30).returns,
                                  first.returns)


def test_random_networks_have_habits_of_their_own() -> None:
    game = GAMES["car_racing"]
    frame = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    means = []
    for seed in range(4):
        policy = RandomNetwork(game, np.random.default_rng(seed))
        actions = np.array([policy.act(frame) for _ in range(20)])
        assert np.all(actions >= game.low)
        assert np.all(actions <= game.high)
        means.append(actions.mean(axis=0))
    assert np.ptp(np.array(means)[:, 0]) > 0.05
