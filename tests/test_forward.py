"""Networks that predict frames: what they learn, how they play without Keras, how they train."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from conftest import command, refused
from forward_runs import SMALL, moving, trained

from worldmodels_repro.cli import main
from worldmodels_repro.config import load_config
from worldmodels_repro.data.clips import Clips, shrunk
from worldmodels_repro.data.fresh import Fresh
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.envs.small import white_place
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import Context
from worldmodels_repro.models.forward.predictor import FrameNetwork, load_frame_network
from worldmodels_repro.models.weights import weights_of
from worldmodels_repro.presets import presets
from worldmodels_repro.sections import Forward
from worldmodels_repro.storage import Arrays, load_csv, load_json, load_npz

NETWORKS = ("rnn_deconv", "rnn_dense", "frame_transform", "spatial_transformer", "assets")
CONFIGS = [name for name in presets() if name.startswith("forward/") and "_" in name.removeprefix(
    "forward/cube_crash")]


def _network(name: str, actions: int = 2, eagerly: bool = True, **settings: Any) -> Any:
    from worldmodels_repro.models.forward.registry import compiled_network

    network = compiled_network(Forward(network=name, **settings), actions, 1)  # type: ignore[arg-type]
    network.run_eagerly = eagerly  # for few steps, tracing would take most of the time
    return network


# --- windows ---

def test_windows_hold_what_comes_one_step_later() -> None:
    clips = Clips(moving(), context=2, steps=6)
    inputs, targets = clips.batch(20, np.random.default_rng(0))
    assert inputs["frames"].shape == (20, 7, 32, 32, 3)
    for row in range(20):
        for pick, step in enumerate(inputs["picks"][row]):
            now, after = inputs["frames"][row, 1 + step], targets["frames"][row, pick]
            if targets["next_valid"][row, pick]:
                np.testing.assert_array_equal(np.roll(now, 1, axis=1), after)
            t = np.flatnonzero(now.any(axis=(0, 2)))[0]  # where the bar begins is the step
            assert targets["reward"][row, pick] == t
            assert targets["done"][row, pick] == (t == 19)
            assert targets["next_valid"][row, pick] == (t < 19)


def test_the_last_step_has_its_share_of_windows() -> None:
    clips = Clips(moving(), context=1, steps=4)
    ends = sum(clips.batch(100, np.random.default_rng(k))[1]["done"].sum() for k in range(10))
    assert ends == pytest.approx(4 * 1000 / (20 + 3), rel=0.25)


def test_shorter_episodes_are_padded_and_masked() -> None:
    episodes = [*moving(places=20, episodes=1), *moving(places=5, episodes=1)]
    clips = Clips(episodes, context=3, steps=10)
    _, targets = next(clips.in_order(10, np.random.default_rng(0)))
    assert sorted(targets["valid"].sum(axis=1)) == [3, 8, 10]
    # Each step from the context's last frame on once; the last one of each has no next frame.
    assert targets["next_valid"].sum() == (18 - 1) + (3 - 1)
    same = Clips(episodes[1:], context=3, steps=10, longest=20)  # whatever episodes there are
    assert same.batch(1, np.random.default_rng(0))[0]["actions"].shape == (1, 10, 2)


def test_frames_are_halved_by_their_means() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    small = shrunk(frames, 32)
    assert small[1, 3, 5, 2] == int(frames[1, 6:8, 10:12, 2].mean() + 0.5)
    assert shrunk(frames, 64) is frames


# --- networks ---

def test_prediction_is_one_step_ahead() -> None:
    """The thesis' bug of 4 June: the present, predicted from the present, looks like learning.

    After a short training the frame after ``actions[t]`` is the next one, not the one now.
    """
    clips = Clips(moving(), context=2, steps=8, compared=4)
    network = _network("frame_transform", eagerly=False, context=2, outcomes=False,
                       learning_rate=0.003)
    for step in range(400):
        network.train_on_batch(*clips.batch(16, np.random.default_rng(step)))
    inputs, targets = clips.batch(16, np.random.default_rng(1000))
    logits, _ = network(inputs)
    drawn = 0.5 + 0.5 * np.tanh(0.5 * np.asarray(logits))  # sigmoid
    there = targets["next_valid"] > 0
    rows, picks = np.nonzero(there)
    now = inputs["frames"][rows, 1 + inputs["picks"][rows, picks]] / 255.0
    ahead, behind = (float(np.square(drawn[there] - frames).mean())
                     for frames in (targets["frames"][there] / 255.0, now))
    assert ahead < 0.3 * behind
    apart = np.abs(white_place(drawn[there]) - white_place(targets["frames"][there] / 255.0))
    assert apart[:, 0].mean() < 0.5


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_learns(name: str) -> None:
    """The thesis' other bug: a wrapped layer whose weights were no part of the model."""
    network = _network(name, context=2, units=8, embedding=4, filters=4)
    before = {weight: array.copy() for weight, array in weights_of(network).items()}
    assert len(before) == len(network.trainable_variables)  # no two of one name
    clips = Clips(moving(), context=2, steps=12)
    rng = np.random.default_rng(0)
    for step in range(4):
        inputs, targets = clips.batch(8, np.random.default_rng(step))
        inputs["actions"] = rng.random(inputs["actions"].shape, np.float32)
        network.train_on_batch(inputs, targets)
    still = [weight for weight, array in weights_of(network).items()
             if np.array_equal(array, before[weight])]
    assert still == []


def test_masked_steps_weigh_nothing() -> None:
    network = _network("rnn_dense", context=2)
    clips = Clips([*moving(20, 1), *moving(6, 1)], context=2, steps=12)
    inputs, targets = next(clips.in_order(8, np.random.default_rng(0)))
    loss = network.test_on_batch(inputs, targets, return_dict=True)["loss"]
    masked = targets["next_valid"] == 0
    assert masked.sum() > 5
    targets["frames"][masked] = 200
    nowhere = targets["valid"] == 0
    targets["reward"][nowhere], targets["done"][nowhere] = 77.0, 1.0
    assert network.test_on_batch(inputs, targets, return_dict=True)["loss"] == loss
    targets["frames"][~masked] = 200
    assert network.test_on_batch(inputs, targets, return_dict=True)["loss"] != loss


def test_the_loss_is_the_cross_entropy_of_smoothed_colours() -> None:
    from worldmodels_repro.models.forward.network import ForwardNetwork

    network = ForwardNetwork(Forward(label_smoothing=0.2, outcomes=False), 2)
    logits = np.random.default_rng(0).normal(size=(1, 2, 32, 32, 3)).astype(np.float32)
    frames = np.full((1, 2, 32, 32, 3), 255, np.uint8)
    y = {"frames": frames, "next_valid": np.array([[1.0, 0.0]], np.float32)}
    p = 1.0 / (1.0 + np.exp(-logits[0, 0].astype(float)))
    expected = -(0.9 * np.log(p) + 0.1 * np.log(1.0 - p)).mean()
    loss = float(network.compute_loss(y=y, y_pred=(logits, None)))
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_programs_play_as_keras_trained(name: str) -> None:
    """Start and step without Keras are the network's; and they are what training unrolls."""
    from worldmodels_repro.models.forward.export import programs

    network = _network(name, actions=3, context=2, units=8, embedding=4, filters=4)
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        variable.assign(np.asarray(variable)
                        + rng.normal(0.0, 0.03, variable.shape).astype(np.float32))
    B, T = 4, 20
    model = FrameNetwork(programs=programs(network), side=32, seen=2, game="cube_crash",
                         scores=True)
    predictor = model.predictor(B)
    frames = rng.integers(0, 256, (B, T + 1, 64, 64, 3)).astype(np.uint8)
    actions = np.eye(3, dtype=np.float32)[rng.integers(3, size=(B, T))]
    state = predictor.start(Context(frames[:, :2], actions[:, :1], np.zeros((B, 2), np.float32)))
    small = shrunk(frames, 32)
    inputs = {"frames": small, "actions": actions, "serve": np.zeros((B, 2), np.float32),
              "picks": np.tile(np.arange(T, dtype=np.int32), (B, 1))}
    logits, outcome = (np.asarray(part) for part in network(inputs))
    for t in range(1 if name in ("frame_transform", "spatial_transformer") else T):
        after = predictor.step(state, actions[:, t])
        state = after.state
        np.testing.assert_allclose(after.frames, 1.0 / (1.0 + np.exp(-logits[:, t])), atol=1e-4)
        np.testing.assert_allclose(after.rewards, outcome[:, t, 0], atol=1e-4)
        np.testing.assert_allclose(after.endings, outcome[:, t, 1], atol=1e-4)


def test_pictures_are_moved_by_numbers() -> None:
    from worldmodels_repro.models.forward.sampling import transformed, translated

    rng = np.random.default_rng(0)
    asset = np.zeros((1, 9, 9, 2), np.float32)
    asset[0, 3:5, 3:5] = rng.random((2, 2, 2))
    moved = np.asarray(translated(asset, np.array([[[2 * 2 / 8, -2 * 1 / 8]]], np.float32)))
    np.testing.assert_allclose(moved[0, 0], np.roll(asset[0], (-1, 2), axis=(0, 1)), atol=1e-6)
    half = np.asarray(translated(asset, np.array([[[1 / 8, 0.0]]], np.float32)))
    np.testing.assert_allclose(half[0, 0], 0.5 * (asset[0] + np.roll(asset[0], 1, axis=1)),
                               atol=1e-6)
    picture_ = asset[..., 0]
    same = np.asarray(transformed(picture_, np.array([[1, 0, 0, 0, 1, 0]], np.float32)))
    np.testing.assert_allclose(same, picture_, atol=1e-6)
    # A place shows what is at A of it: x' = x - 2/8 is the picture moved a pixel to the right.
    right = np.asarray(transformed(picture_, np.array([[1, 0, -2 / 8, 0, 1, 0]], np.float32)))
    np.testing.assert_allclose(right[0], np.roll(picture_[0], 1, axis=1), atol=1e-5)
    turned = np.asarray(transformed(picture_, np.array([[0, 1, 0, 1, 0, 0]], np.float32)))
    np.testing.assert_allclose(turned[0], picture_[0].T, atol=1e-5)


# --- trainings ---

@pytest.mark.parametrize("config", [
    pytest.param(name, marks=() if name in ("pong_rnn_deconv_serve", "cube_crash_assets")
                 else pytest.mark.slow)
    for name in (name.removeprefix("forward/") for name in CONFIGS)])
def test_every_config_trains_and_predicts(runs: Path, config: str) -> None:
    run = trained(runs, config)
    assert [row["step"] for row in load_csv(run / "forward" / "history.csv")] == [2, 4]
    settings = load_config(run / "config.yaml")
    model = load_frame_network(run, settings.forward, settings.game)
    kept = load_npz(run / "forward" / "contexts.npz")
    context = Context(kept["frames"][:1], kept["actions"][:1], kept["serve"][:1])
    predictor = model.predictor(1)
    after = predictor.step(predictor.start(context), kept["actions"][:1, 0]
                           if kept["actions"].shape[1] else game_named(settings.game).low[None])
    assert after.frames.shape == (1, 32, 32, 3)
    assert np.isfinite(after.frames).all() and np.isfinite(after.state).all()


def test_there_is_a_config_for_every_network_and_game() -> None:
    assert {f"forward/{game}_{network}" for game in ("pong", "cube_crash")
            for network in NETWORKS} <= set(CONFIGS)


def test_training_goes_on_to_the_bit(runs: Path) -> None:
    """Also where something is left out at random."""
    whole = trained(runs, "pong_frame_transform", "whole")
    half = trained(runs, "pong_frame_transform", "half", "--set", "forward.steps=2")
    trained(runs, "pong_frame_transform", "half")
    for name in ("weights.npz", "training.npz", "programs.npz"):
        ours, theirs = (load_npz(run / "forward" / name) for run in (half, whole))
        for key, array in theirs.items():
            if key.endswith("_xml"):
                continue  # names in it count the layers that this process has made before
            np.testing.assert_array_equal(ours[key], array, err_msg=f"{name} {key}")


FRESH = [word for setting in ("forward.fresh=4", "forward.renew=2", "rollouts.min_steps=8")
         for word in ("--set", setting)]


def test_fresh_episodes_are_the_rounds_own() -> None:
    """The newest few of a stream, which ones by the round's number alone; played ahead of time."""
    asked: list[range] = []

    class Played:
        def map(self, numbers: range) -> Iterator[Arrays | None]:
            asked.append(numbers)
            return iter([{"number": np.array(k)} if k != 3 else None for k in numbers])

    def numbers(fresh: Fresh, number: int) -> list[int]:
        return [int(episode["number"]) for episode in fresh.of_round(number)]

    fresh = Fresh(cast(Any, Played()), size=4, renew=2, rounds=3)
    assert numbers(fresh, 0) == [0, 1, 2]  # 3 is too short
    assert asked == [range(4), range(4, 6)]
    assert numbers(fresh, 0) == [0, 1, 2]
    assert numbers(fresh, 1) == [2, 4, 5]
    assert numbers(fresh, 2) == [4, 5, 6, 7]
    assert asked[2:] == [range(6, 8)]  # none for a round that never comes
    later = Fresh(cast(Any, Played()), size=4, renew=2, rounds=3)
    assert numbers(later, 1) == [2, 4, 5] and numbers(later, 2) == [4, 5, 6, 7]
    with pytest.raises(ValueError, match="round 4"):
        later.of_round(4)


def test_fresh_episodes_take_the_place_of_rollouts(tmp_path: Path) -> None:
    """To the bit as well, whoever is interrupted; and what is held out can be drawn."""
    from worldmodels_repro.report.forward import forward_frames
    from worldmodels_repro.run import Run

    def train(name: str, *more: str) -> Path:
        assert main(["forward", "--config", "forward/pong_rnn_dense", "--run",
                     str(tmp_path / name), *SMALL, *FRESH, *more]) == 0
        return tmp_path / name / "forward"

    whole = train("whole", "--set", "forward.steps=5")
    train("half", "--set", "forward.steps=3")  # in the middle of a round
    half = train("half", "--set", "forward.steps=5")
    assert not (tmp_path / "half" / "rollouts").exists()
    ours, theirs = (load_npz(folder / "training.npz") for folder in (half, whole))
    for key, array in theirs.items():
        np.testing.assert_array_equal(ours[key], array, err_msg=key)
    facts = load_json(half / "stage.json", dict)["facts"]
    assert facts["training_episodes"] == 4 + 2 * 2 and len(facts["held_out_episodes"]) == 1
    table = forward_frames(Run(tmp_path / "half", load_config(tmp_path / "half" / "config.yaml")))
    assert len(table["titles"]) > 1
    assert "rollouts" in refused(command("forward", "--run", tmp_path / "half", "--set",
                                         "forward.fresh=null"))


# --- what bad input gets ---

def test_a_context_longer_than_an_episode(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "short"
    short = ["--set", "rollouts.max_steps=3", "--set", "rollouts.min_steps=1"]
    assert main(["rollouts", "--config", "forward/pong", "--run", str(run), *SMALL, *short]) == 0
    line = refused(command("forward", "--config", "forward/pong_rnn_dense", "--run", run, *SMALL,
                           *short))
    assert "forward.context=3" in line and "3 frame" in line and "rollouts.min_steps=4" in line


def test_a_network_of_another_game(runs: Path) -> None:
    run = runs / "pong_rnn_dense"
    with pytest.raises(UserError, match="cube_crash's 3 numbers"):
        load_frame_network(run, Forward(), "cube_crash")
    line = refused(command("forward", "--config", "forward/cube_crash_rnn_dense", "--run", run))
    assert "game: pong there, cube_crash here" in line
    cube = trained(runs, "cube_crash_rnn_dense")
    assert "one game" in refused(command("bench", run, cube))


@pytest.mark.parametrize(("words", "said"), [
    (["--config", "forward/cube_crash_rnn_dense", "--set", "forward.context=serve"], "no serve"),
    (["--config", "forward/pong_frame_transform", "--set", "forward.context=serve"],
     "needs a frame"),
    (["--config", "forward/pong_rnn_dense", "--set", "forward.dropout=0.5"], "does nothing"),
    (["--config", "forward/pong_rnn_dense", "--set", "forward.context=4"], "forward.context"),
    (["--config", "forward/pong_rnn_dense"], "rollouts"),
    (["--config", "forward/inside", "--set", "forward.outcomes=false"], "forward.outcomes=true"),
    (["--config", "forward/inside", "--set", "controller.inputs=[o]"], "own state is not in"),
    (["--config", "forward/inside", "--set", "evolve.sift=2"], "evolve.world=real"),
    (["--config", "forward/pong_rnn_dense", "--set", "forward.fresh=8"], "forward.renew=64"),
    (["--config", "forward/pong_rnn_dense", "--set", "forward.fresh=99", "--set",
      "rollouts.keep=logs/x"], "rollouts.keep=null"),
    (["--config", "forward/pong_rnn_dense", "--set", "forward.fresh=99", "--set",
      "rollouts.max_steps=3", "--set", "rollouts.min_steps=1"], "raise rollouts.max_steps"),
])
def test_wrong_settings(tmp_path: Path, words: list[str], said: str) -> None:
    assert said in refused(command("forward", "--run", tmp_path / "run", *words))


def test_a_scripted_player_needs_a_game_that_has_one(tmp_path: Path) -> None:
    line = refused(command("rollouts", "--config", "quick", "--run", tmp_path / "run", "--set",
                           "rollouts.policies={scripted: 2}"))
    assert "no scripted player" in line
