"""Learners that see frames: how these are seen and kept, what sees them, and the stage whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import killed_after
from learn_runs import config_of, does, ends, refusal

from worldmodels_repro.api import LoadedRun
from worldmodels_repro.data.stacks import Sight, Stacks, places_of, stacked
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.learning.frames import FrameRing
from worldmodels_repro.models.convolutions import TABLES, Convolution, FrameEncoder
from worldmodels_repro.models.network import Network
from worldmodels_repro.storage import load_json, load_npz
from worldmodels_repro.worlds.frames import FramesWorld, StacksWorld

PIXELS = """
game: cart_pole
controller: {by: dqn, inputs: [f]}
frames: {stack: 3, skip: 2, background: true}
learn: {steps: 200, layers: [8], delay: 60, every: 4, target_every: 50, epsilon_steps: 100,
        buffer: 90, batch: 8, alpha: 0.6, evaluate_every: 60, evaluate_rollouts: 2}
evolve: {workers: 1, slots: 2, max_steps: 7}
evaluate: {episodes: 2, random_episodes: 1}
"""
GRAY = Sight(stack=3, gray=True, background=False)


def _frames(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


# --- how frames are seen ---

def test_gray_and_less_the_first() -> None:
    frames = _frames(4)
    gray = GRAY.look(frames, frames[0])
    for frame, seen in zip(frames, gray, strict=True):
        np.testing.assert_array_equal(seen[..., 0], cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
    moved = Sight(stack=1, gray=False, background=True).look(frames, frames[0])
    assert (moved[0] == 128).all()  # nothing has moved
    exact = 128 + np.floor((frames.astype(float) - frames[0]) / 2)
    np.testing.assert_array_equal(moved, exact)
    ends = np.array([[[[0, 0, 0]]], [[[255, 255, 255]]]], np.uint8)
    assert Sight(stack=1, gray=False, background=True).look(ends, ends[1])[0].max() == 0
    assert Sight(stack=1, gray=False, background=True).look(ends, ends[0])[1].min() == 255


@pytest.mark.parametrize("sight", [GRAY, Sight(stack=2, gray=False, background=True)])
def test_a_stack_is_the_last_frames_and_the_first_stands_for_those_before(sight: Sight) -> None:
    frames, stacks, c = _frames(5), Stacks(sight, 2), sight.channels
    looked = sight.look(frames, frames[0])
    stacks.begin(1, frames[0])
    for step in range(5):
        if step:
            stacks.go_on(1, frames[step])
        for back in range(sight.stack):
            place = slice((sight.stack - 1 - back) * c, (sight.stack - back) * c)
            np.testing.assert_array_equal(stacks.seen[1, ..., place], looked[max(0, step - back)])
    now = np.arange(5)
    whole = stacked(looked, places_of(now, np.zeros(5, int), sight))
    np.testing.assert_array_equal(whole[-1], stacks.seen[1])
    assert not stacks.seen[0].any()


def test_a_look_is_several_steps_of_the_game() -> None:
    game = replace(game_named("pendulum"), max_steps=20)
    sight = Sight(stack=2, gray=True, background=False, skip=3)
    plain = FramesWorld(game, 2, "original")
    looks = StacksWorld(FramesWorld(game, 2, "original"), sight)
    for world in (looks, plain):
        for slot in range(2):
            world.reset(slot, 5 + slot)
    actions = np.array([[1.0], [-2.0]], np.float32)
    rewards, dones = looks.step(actions)
    exact = sum(plain.step(actions)[0].copy() for _ in range(3))
    np.testing.assert_allclose(rewards, exact)
    gray = sight.look(plain.features(), plain.features()[0])
    np.testing.assert_array_equal(looks.features()[..., -1:], gray)
    steps = 1
    while not dones.any():
        rewards, dones = looks.step(actions)
        steps += 1
    assert steps == 7 and dones.all() and not looks.terminated.any()  # 20 steps, the last look 2


def test_one_slots_end_is_no_others() -> None:
    sight = Sight(stack=1, gray=True, background=False, skip=4)
    world = StacksWorld(FramesWorld(game_named("cart_pole"), 2, "original"), sight)
    for slot in range(2):
        world.reset(slot, slot)
    left_or_held = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    ended = np.zeros(2, bool)
    for look in range(4):
        left_or_held[1] = [[1.0, 0.0], [0.0, 1.0]][look % 2]
        rewards, dones = world.step(left_or_held)
        ended |= dones
        if dones[0]:
            world.rest(0)
    assert ended[0] and not ended[1] and world.terminated[0] and rewards[1] == 4


# --- how they are kept ---

def test_50_000_gray_frames_are_250_megabytes_at_most() -> None:
    ring = FrameRing(Sight(stack=4, gray=True, background=False), 50_000)
    assert 50_000 * 64 * 64 <= ring._frames.nbytes <= 250e6 and ring._frames.dtype == np.uint8


@pytest.mark.parametrize("length", [1, 5])
def test_every_stack_is_what_was_seen(length: int) -> None:
    """Of episodes that are cut, each with a frame more than it has transitions."""
    ring, rng, capacity = FrameRing(GRAY, 20), np.random.default_rng(2), 20
    kept: list[tuple[tuple[int, int], np.ndarray]] = []  # of each transition that is remembered

    def holds(memory: FrameRing) -> None:
        keys, seen = zip(*kept, strict=True)
        np.testing.assert_array_equal(memory.stacks(np.array(keys, np.float32)), np.stack(seen))

    frames: dict[int, np.ndarray] = {}
    for _ in range(30):
        stacks, first = Stacks(GRAY, 1), ring.next
        stacks.begin(0, rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        for _ in range(length):
            now = ring.add(stacks.seen[0])
            frames[now] = stacks.seen[0, ..., -1:].copy()
            kept = [*kept, ((now, first), stacks.seen[0].copy())][-capacity:]
            ring.forget(*kept[0][0])
            stacks.go_on(0, rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        frames[ring.add(stacks.seen[0])] = stacks.seen[0, ..., -1:].copy()
        holds(ring)
    assert len(ring._frames) <= 2 * capacity + 10
    again = FrameRing(GRAY, 20)
    again.restore(ring.state(), lambda numbers: np.stack(
        [frames[number].ravel() for number in numbers]))
    holds(again)


# --- what sees them ---

@pytest.mark.parametrize(("table", "side", "frames", "outputs"), [
    ("deep_tamer", 160, 2, 100),  # Warnell et al. 2018
    ("strided", 128, 3, 64), ("strided_2", 128, 3, 1024), ("strided_1", 128, 3, 4096),
    ("atari", 64, 4, 1024), ("pooled", 64, 4, 16384),
])
def test_sizes_are_those_of_the_documents(table: str, side: int, frames: int,
                                          outputs: int) -> None:
    assert FrameEncoder((side, side, frames), TABLES[table]).outputs == outputs


@pytest.mark.parametrize(("layers", "latent"), [
    (TABLES["atari"], None), (TABLES["strided"], 5),
    ((Convolution(3, 3, same=True, pool=2, bend="leaky_relu"), Convolution(2, 5, 3)), None)])
def test_numpy_sees_as_keras_does(layers: tuple[Convolution, ...], latent: int | None) -> None:
    from worldmodels_repro.learning.learner import flat, whole_network

    encoder = FrameEncoder((64, 64, 2), layers, latent)
    network = Network(features=encoder.outputs, outputs=3, hidden=(6,), encoder=encoder)
    model = whole_network(network)
    weights = np.asarray(flat(model))
    assert weights.shape == (network.weights,)
    stacks = np.random.default_rng(3).integers(0, 256, (4, 64, 64, 2), dtype=np.uint8)
    every = network.act(np.repeat(weights[None], 4, axis=0), stacks)
    np.testing.assert_allclose(every, np.asarray(model(stacks)), atol=1e-4)
    np.testing.assert_allclose(network.act(weights[None], stacks), every, atol=1e-5)
    np.testing.assert_array_equal(
        every[1:2], network.act(np.repeat(weights[None], 4, axis=0), stacks[[0, 1, 0, 0]])[1:2])


# --- the stage, by the command line ---

@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose C has learnt from frames, and was judged."""
    folder = tmp_path_factory.mktemp("pixels")
    for verb in ("learn", "evaluate"):
        does(verb, "--config", config_of(folder, PIXELS), "--run", folder / "run")
    return folder / "run"


def _frame_chunks(run: Path) -> dict[str, Any]:
    return {path.name: load_npz(path)["rows"].tobytes()
            for path in (run / "learn" / "frames").glob("*.npz")}


def test_more_steps_go_on_from_the_frames_there(seen: Path, tmp_path: Path) -> None:
    for steps in (120, 200):
        does("learn", "--config", config_of(tmp_path, PIXELS), "--run", tmp_path / "run", "--set",
              f"learn.steps={steps}")
    ours, theirs = ends(tmp_path / "run"), ends(seen)
    assert ours[0] == theirs[0] and ours[2].keys() == theirs[2].keys()
    differ = [name for name, array in ours[2].items() if theirs[2][name] != array]
    assert not differ


@pytest.mark.slow
def test_a_killed_run_that_sees_frames_ends_like_one_never_killed(seen: Path,
                                                                  tmp_path: Path) -> None:
    config, run = config_of(tmp_path, PIXELS), tmp_path / "killed"
    killed_after(2, run / "learn" / "history.csv", "learn", "--config", config, "--run", run)
    does("learn", "--config", config, "--run", run)
    assert ends(run) == ends(seen)


def test_an_agent_that_sees_frames_is_judged_and_filmed(seen: Path, tmp_path: Path) -> None:
    judged = load_json(seen / "evaluate" / "evaluation.json", dict)
    assert judged["environment"] == "CartPole-v1" and judged["controller"]["inputs"] == ["f"]
    episodes = judged["episodes"]["agent"]
    played = LoadedRun(seen).play(seeds=[row["seed"] for row in episodes])
    assert played.returns.tolist() == [row["score"] for row in episodes]
    film = tmp_path / "film.webp"
    does("play", "--run", seen, "--gif", film)
    assert film.exists()


@pytest.mark.slow
def test_dqn_drives_the_car(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    does("learn", "--config", root / "configs" / "testbench" / "CR_dqn.yaml", "--run",
          tmp_path / "run", *(word for setting in (
              "learn.steps=24", "learn.delay=8", "learn.batch=4", "learn.buffer=200",
              "learn.layers=[8]", "learn.evaluate_rollouts=1", "evolve.max_steps=12")
              for word in ("--set", setting)))
    agent = load_json(tmp_path / "run" / "learn" / "agent.json", dict)
    assert agent["step"] == 24 and np.isfinite(agent["mean"])


@pytest.mark.parametrize(("settings", "words"), [
    (["controller.inputs=[f,z]"], "controller.inputs takes f, frames, alone"),
    (["controller.by=cma_es"], "set controller.encoder=frozen"),
    (["learn.omega=0.5"], "learn.omega would keep frames of all times"),
    (["evolve.world=dream", "memory.done=true"], "frames are not in M's dream"),
    (["controller.encoder=frozen"], "have it in pretrain.networks"),
    (["controller.encoder=tuned", "controller.inputs=[o]"], "set controller.inputs=[f]"),
    (["frames.stack=0"], "frames.stack"),
    (["frames.layers=deep"], "frames.layers"),
    (["learn.steps=20000000"], "16 million"),
])
def test_what_can_not_be_seen_is_refused_in_a_line(
        tmp_path: Path, settings: list[str], words: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "learn", "--config", config_of(tmp_path, PIXELS), "--run",
                    tmp_path / "run", *(word for setting in settings
                                        for word in ("--set", setting)))
    assert words in line
