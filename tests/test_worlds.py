"""Worlds, real and dreamt: what happens in one slot is nobody else's business."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldmodels_repro.config import check_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.evolution.players import WorldSpec
from worldmodels_repro.frame import mirror_images
from worldmodels_repro.models.contracts import Context, Precision, Predicted
from worldmodels_repro.models.mdn_rnn.forward import MdnRnn
from worldmodels_repro.models.vae.vision import Vision
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.policies.random import RandomNetwork
from worldmodels_repro.worlds.agent import Body, Senses, load_body
from worldmodels_repro.worlds.dream import Dream
from worldmodels_repro.worlds.episodes import Played, World, play
from worldmodels_repro.worlds.forward import ForwardDream, ForwardWorld, shown

RNG = np.random.default_rng(0)


def _array(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)


def _body(precision: Precision, inputs: tuple[str, ...] = ("z", "h")) -> Body:
    vae = {"encoder/mu/kernel": _array(1024, 32), "encoder/mu/bias": _array(32),
           "encoder/logvar/kernel": _array(1024, 32), "encoder/logvar/bias": _array(32)}
    for number, (inside, out) in enumerate([(3, 32), (32, 64), (64, 128), (128, 256)], start=1):
        vae[f"encoder/conv{number}/kernel"] = 0.3 * _array(4, 4, inside, out)
        vae[f"encoder/conv{number}/bias"] = _array(out)
    memory = {"lstm/kernel": _array(35, 1024), "lstm/recurrent_kernel": _array(256, 1024),
              "lstm/bias": _array(1024)}
    return Body(game="car_racing", vision=Vision(vae), memory=MdnRnn(weights=memory, z=32),
                inputs=inputs, hidden=0, bias=True, sample_z=True,
                precision=precision)


def _dream(body: Body) -> Dream:
    assert isinstance(body.memory, MdnRnn)
    weights = body.memory.weights | {"mdn/kernel": _array(256, 482), "mdn/bias": 0.3 * _array(482)}
    weights["mdn/bias"][480] = -2.0  # endings now and then
    starts = {"mu": _array(5, 32), "logvar": _array(5, 32) - 1.0}
    return Dream(game=body.game, memory=MdnRnn(weights=weights, z=32, done=True, reward=True),
                 starts=starts, inputs=body.inputs, temperature=1.0, precision=body.precision)


def _played(world: World, body: Body, weights: np.ndarray, seeds: list[int],
            max_steps: int) -> Played:
    return play(world, Controllers(body, weights, world.slots), seeds, max_steps)


class Drift:
    """A model of frames that could be a network: waves whose place the steering moves."""

    scores = True

    def predictor(self, batch: int) -> Drift:
        return self

    def start(self, context: Context) -> np.ndarray:
        return context.frames[:, -1, 0, 0, :1] / np.float32(32.0)

    def step(self, state: np.ndarray, actions: np.ndarray) -> Predicted:
        state = state + 0.1 * actions[:, :1] + 0.05  # (B, 1)
        waves = 0.5 + 0.5 * np.sin(state + np.arange(64, dtype=np.float32))
        frames = np.broadcast_to(waves[:, None, :, None], (len(state), 64, 64, 3))
        return Predicted(frames, np.cos(state[:, 0]), np.sin(9 * state[:, 0]) - 0.9, state)


def _forward_dream(game: str = "car_racing") -> ForwardDream:
    frames = RNG.integers(0, 256, (5, 2, 64, 64, 3), np.uint8)
    context = Context(frames, np.zeros((5, 1, 3), np.float32), np.zeros((5, 2), np.float32))
    return ForwardDream(game=game, network=Drift(), contexts=context)


def _spec(kind: str, precision: Precision) -> WorldSpec:
    body = _body(precision)
    dream = {"real": None, "dream": _dream(body), "forward": _forward_dream()}[kind]
    return WorldSpec(body, "fast", 4, dream)


ALL = pytest.mark.parametrize("kind", ["real", "dream", "forward"])


@pytest.mark.parametrize(("kind", "precision"), [
    ("real", "f32"), ("real", "bf16"), ("dream", "f32"), ("dream", "bf16"), ("forward", "f32")])
def test_an_episode_does_not_depend_on_its_neighbours_or_its_batch(kind: str,
                                                                   precision: Precision) -> None:
    spec = _spec(kind, precision)
    shape = spec.body.shape
    weights = 0.3 * RNG.standard_normal((7, shape.weights)).astype(np.float32)
    seeds = list(range(7))

    def played(slots: int, order: list[int]) -> Played:
        result = _played(replace(spec, slots=slots).build(), spec.body, weights[order],
                         [seeds[i] for i in order], 120)
        return Played(result.returns[np.argsort(order)], result.steps[np.argsort(order)])

    alone = [played(4, [i]) for i in range(7)]
    together = played(4, [6, 3, 1, 0, 2, 5, 4])
    for slots in (1, 7, 33) if kind == "dream" else (1, 7):
        other = played(slots, list(range(7)))
        np.testing.assert_array_equal(other.returns, together.returns)
        np.testing.assert_array_equal(other.steps, together.steps)
    np.testing.assert_array_equal(np.concatenate([one.returns for one in alone]), together.returns)
    assert len(set(together.returns)) > 1


@ALL
def test_a_world_keeps_its_contract(kind: str) -> None:
    spec = _spec(kind, "f32")
    world = spec.build()
    assert world.slots == 4
    for slot in (0, 2):
        world.reset(slot, seed=slot)
    world.rest(1)  # as at the start of a chunk of few episodes
    world.rest(3)
    first = world.features().copy()
    assert first.shape == (4, spec.body.shape.features)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first[[0, 2], 32:], 0.0)  # h_0 = 0
    assert np.abs(first[0] - first[2]).max() > 0  # by seed
    rewards, dones = world.step(np.zeros((4, 3), np.float32))
    assert rewards.shape == dones.shape == (4,)
    assert dones.dtype == bool
    assert np.abs(world.features()[[0, 2], 32:]).max(axis=1).min() > 0
    world.rest(0)
    second = world.features()[2].copy()
    world.reset(0, seed=0)
    np.testing.assert_array_equal(world.features()[0, 32:], 0.0)
    np.testing.assert_array_equal(world.features()[0], first[0])
    np.testing.assert_array_equal(world.features()[2], second)


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


def test_a_mirror_image_has_left_and_right_exchanged() -> None:
    frames = RNG.integers(0, 256, (3, 64, 64, 3), np.uint8)
    np.testing.assert_array_equal(mirror_images(frames), frames[:, :, ::-1])
    assert mirror_images(frames[:0]).shape == (0, 64, 64, 3)


@pytest.mark.parametrize("live", [[1], [0, 2, 4], [0, 1, 2, 3, 4]])
def test_a_slot_sees_the_same_whoever_else_is_awake(live: list[int]) -> None:
    """Its features and those of its mirror image, bit for bit; who sleeps keeps its z."""
    body = replace(_body("f32"), mirror=True)
    noise = RNG.standard_normal((5, 32)).astype(np.float32)
    frames = RNG.integers(0, 256, (2, 5, 64, 64, 3), np.uint8)
    all_awake, some = Senses(body, 5), Senses(body, 5)
    for senses in (all_awake, some):
        senses.see(frames[0], noise)
        senses.remember(np.ones((5, 3), np.float32))
    before = some.see(frames[0], noise).copy()
    expected = all_awake.see(frames[1], noise)
    after = some.see(frames[1], noise, np.array(live))
    np.testing.assert_array_equal(after[live], expected[live])
    asleep = sorted({0, 1, 2, 3, 4} - set(live))
    np.testing.assert_array_equal(after[asleep], before[asleep])


def test_a_c_that_looks_into_a_mirror_is_as_symmetric_as_the_game() -> None:
    body = replace(_body("f32"), mirror=True, sample_z=False)
    assert body.shape.weights == 867  # as without one
    senses, mirrored = Senses(body, 2), game_named("car_racing").mirrored
    weights = 0.01 * _array(1, 867)
    controllers = Controllers(body, weights, 2)
    assert mirrored is not None
    for slot in (0, 1):
        controllers.reset(slot, 0, 0)
    for _ in range(3):
        frames = np.repeat(RNG.integers(0, 256, (1, 64, 64, 3), np.uint8), 2, axis=0)
        frames[1] = frames[1, :, ::-1]
        actions = controllers.act(senses.see(frames, np.zeros((2, 32), np.float32)))
        np.testing.assert_allclose(mirrored(actions[1]), actions[0], atol=1e-5)
        assert abs(actions[0, 0]) > 1e-3
        senses.remember(actions)
    alone = Controllers(replace(body, mirror=False), weights, 2)
    for slot in (0, 1):
        alone.reset(slot, 0, 0)
    seen = senses.see(frames, np.zeros((2, 32), np.float32))
    here, there = (alone.act(half) for half in np.split(seen, 2, axis=1))
    assert np.abs(mirrored(here[1]) - here[0]).max() > 1e-2  # as it is, C is not symmetric
    np.testing.assert_allclose((here + mirrored(there)) / 2, controllers.act(seen))


@pytest.mark.parametrize(("game", "symmetric"), [("car_racing", True), ("pong", False)])
def test_c_is_asked_of_a_mirror_image_where_the_game_has_one(tiny_run: Path, game: str,
                                                             symmetric: bool) -> None:
    config = check_config({"game": game, "controller": {"inputs": ["z"], "mirror": True}}, "x")
    body = load_body(tiny_run, config)
    assert body.mirror is symmetric  # pong has choices, which have no mean
    assert body.seen == body.features * (1 + symmetric)


def test_z_is_a_posterior_sample() -> None:
    body = _body("f32", ("z",))
    frames = RNG.integers(0, 256, (1, 64, 64, 3), np.uint8)
    senses = Senses(body, 1)
    mean = senses.see(frames, np.zeros((1, 32), np.float32)).copy()
    up = senses.see(frames, np.ones((1, 32), np.float32)).copy()
    down = senses.see(frames, -np.ones((1, 32), np.float32)).copy()
    np.testing.assert_allclose(up - mean, mean - down, atol=1e-5)
    assert np.all(up >= mean)
    assert np.mean(up > mean) > 0.5  # a sigma of 1e-6 of the mean is rounded away


def test_a_network_of_frames_is_a_world() -> None:
    """It begins where contexts end, and rewards, endings and frames are its own, slot by slot."""
    dream = _forward_dream("cube_crash")  # of at most 100 steps
    world, model = ForwardWorld(dream, 3), Drift()
    steer = np.array([[0.3], [0.3], [0.0]], np.float32).repeat(3, axis=1)
    world.reset(0, 7)
    world.reset(2, 7)
    first = world.features()[[0, 2]]
    assert any(np.array_equal(first[0], frame) for frame in dream.contexts.frames[:, -1])
    np.testing.assert_array_equal(first[0], first[1])
    place = int(np.flatnonzero([np.array_equal(first[0], frame)
                                for frame in dream.contexts.frames[:, -1]])[0])
    state = model.start(dream.contexts[place:place + 1])
    done = False
    for step in range(1, 101):
        after = model.step(state, steer[2:])
        state = after.state
        rewards, dones = world.step(steer)
        np.testing.assert_array_equal(world.features()[2], shown(after)[0])
        assert rewards[2] == after.rewards[0]
        assert world.terminated[2] == (after.endings[0] > 0)
        done = bool(dones[2])
        assert done == (world.terminated[2] or step == 100)
        if done:
            break
    assert done and not np.array_equal(world.features()[0], world.features()[2])
    assert not world.features()[1].any() and not world.live[1]  # where nothing was begun
    world.rest(2)
    still = world.features()[2].copy()
    world.step(steer)
    np.testing.assert_array_equal(world.features()[2], still)
    unscored = ForwardWorld(replace(dream, network=Unscored()), 1)
    unscored.reset(0, 7)
    lived = 0
    while not unscored.step(steer[2:])[1][0]:
        lived += 1
    assert lived == 99 and not unscored.terminated[0] and unscored.step(steer[2:])[0][0] == 1.0


class Unscored(Drift):
    scores = False


@ALL
def test_the_same_seed_is_the_same_episode_in_a_used_world(kind: str) -> None:
    spec = _spec(kind, "f32")
    weights = 0.3 * RNG.standard_normal((2, spec.body.shape.weights)).astype(np.float32)
    world = spec.build()
    first = _played(world, spec.body, weights, [11, 12], 30)
    _played(world, spec.body, weights, [13, 14], 50)
    np.testing.assert_array_equal(_played(world, spec.body, weights, [11, 12], 30).returns,
                                  first.returns)


def test_random_networks_have_habits_of_their_own() -> None:
    game = game_named("car_racing")
    frame = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    means = []
    for seed in range(4):
        policy = RandomNetwork(game, np.random.default_rng(seed))
        actions = np.array([policy.act(frame) for _ in range(20)])
        assert np.all(actions >= game.low)
        assert np.all(actions <= game.high)
        means.append(actions.mean(axis=0))
    assert np.ptp(np.array(means)[:, 0]) > 0.05
