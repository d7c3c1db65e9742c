"""Networks that predict frames: what they learn, how they play without Keras, and every command."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from conftest import TINY as TINY_CONFIG
from conftest import command, picture, refused
from gymnasium.utils.env_checker import check_env
from PIL import Image

import worldmodels_repro.envs  # noqa: F401 - registers the environments
from worldmodels_repro.cli import main
from worldmodels_repro.config import load_config
from worldmodels_repro.data.clips import Clips, shrunk
from worldmodels_repro.data.fresh import Fresh
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.envs.small import white_place
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import Context, Predicted
from worldmodels_repro.models.forward.predictor import FrameNetwork, load_frame_network
from worldmodels_repro.models.weights import weights_of
from worldmodels_repro.presets import presets
from worldmodels_repro.records import LearningEpisode
from worldmodels_repro.run import stages_of
from worldmodels_repro.sections import Forward
from worldmodels_repro.storage import Arrays, load_csv, load_json, load_json_lines, load_npz
from worldmodels_repro.truth.horizons import HeldOut, bench
from worldmodels_repro.worlds.forward import load_forward_dream
from worldmodels_repro.worlds.forward_env import ForwardEnv

NETWORKS = ("rnn_deconv", "rnn_dense", "frame_transform", "spatial_transformer", "assets")
CONFIGS = [name for name in presets() if name.startswith("forward/") and "_" in name.removeprefix(
    "forward/cube_crash")]
TINY = [word for setting in (
    "rollouts.policies={scripted: 6}", "rollouts.max_steps=20", "evolve.workers=1",
    "forward.steps=4", "forward.validate_every=2", "forward.batch=3", "forward.sequence=7",
    "forward.compared=3", "forward.units=8", "forward.embedding=4", "forward.filters=2",
    "forward.validation=0.3", "trackers=[]") for word in ("--set", setting)]


def _moving(places: int = 20, episodes: int = 8, actions: int = 2) -> list[Arrays]:
    """A white bar of two columns that goes a pixel a step to the right."""
    made = []
    for number in range(episodes):
        frames = np.zeros((places, 32, 32, 3), np.uint8)
        for t in range(places):
            frames[t, 4 + number:12 + number, t:t + 2] = 255
        made.append({"frames": frames, "actions": np.zeros((places, actions), np.float32),
                     "rewards": np.arange(places, dtype=np.float32),
                     "terminated": np.arange(places) == places - 1,
                     "serve": np.full(2, number, np.float32)})
    return made


def _network(name: str, actions: int = 2, eagerly: bool = True, **settings: Any) -> Any:
    from worldmodels_repro.models.forward.registry import compiled_network

    network = compiled_network(Forward(network=name, **settings), actions, 1)  # type: ignore[arg-type]
    network.run_eagerly = eagerly  # for few steps, tracing would take most of the time
    return network


# --- windows ---

def test_windows_hold_what_comes_one_step_later() -> None:
    clips = Clips(_moving(), context=2, steps=6)
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
    clips = Clips(_moving(), context=1, steps=4)
    ends = sum(clips.batch(100, np.random.default_rng(k))[1]["done"].sum() for k in range(10))
    assert ends == pytest.approx(4 * 1000 / (20 + 3), rel=0.25)


def test_shorter_episodes_are_padded_and_masked() -> None:
    episodes = [*_moving(places=20, episodes=1), *_moving(places=5, episodes=1)]
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
    clips = Clips(_moving(), context=2, steps=8, compared=4)
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
    clips = Clips(_moving(), context=2, steps=12)
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
    clips = Clips([*_moving(20, 1), *_moving(6, 1)], context=2, steps=12)
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


# --- the bench ---

class Shifts:
    """A model that knows the hand-made world: everything goes a pixel of 32 to the right."""

    scores = False

    def predictor(self, batch: int) -> Shifts:
        return self

    def start(self, context: Context) -> np.ndarray:
        return (context.frames[:, -1] / 255.0).reshape(len(context.frames), -1)

    def step(self, state: np.ndarray, actions: np.ndarray) -> Predicted:
        frames = np.roll(state.reshape(-1, 64, 64, 3), 2, axis=2)
        none = np.zeros(len(state))
        return Predicted(frames.astype(np.float32), none, none, frames.reshape(len(state), -1))


def test_the_bench_knows_a_model_that_is_right() -> None:
    frames = np.stack([episode["frames"] for episode in _moving()]).repeat(2, 2).repeat(2, 3)
    lengths = np.full(len(frames), 20)
    lengths[0] = 9
    episodes = HeldOut(frames, np.zeros((len(frames), 20, 2), np.float32),
                       np.zeros((len(frames), 2)), lengths)
    game = Game(name="bar", judge_id="", low=np.zeros(2), high=np.ones(2), solved=0.0,
                place=white_place)
    rows = {(row["model"], row["horizon"]): row
            for row in bench(game, {"shifts": Shifts()}, episodes, (1, 5, 10, 17))}
    assert {model for model, _ in rows} == {"shifts", "last frame", "mean frame"}
    for horizon in (1, 5, 10):
        right, copied = rows["shifts", horizon], rows["last frame", horizon]
        assert (right["mse"], right["place"]) == (0.0, 0.0)
        assert copied["place"] == pytest.approx(horizon, abs=1e-3)
        # Eight rows of a bar two columns wide: what it left, and where it went.
        assert copied["mse"] == pytest.approx(2 * 8 * min(horizon, 2) / 32**2)
        assert right["episodes"] == (8 if horizon <= 6 - 1 else 7)
    assert ("shifts", 17) in rows and rows["shifts", 17]["episodes"] == 7


# --- commands ---

@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rollouts of both games, which every config's run borrows, and one run that is trained."""
    folder = tmp_path_factory.mktemp("forward")
    for game in ("pong", "cube_crash"):
        assert main(["rollouts", "--config", f"forward/{game}", "--run", str(folder / game),
                     *TINY]) == 0
    _train(folder, "pong_rnn_dense")
    return folder


def _train(runs: Path, config: str, name: str | None = None, *more: str) -> Path:
    run = runs / (name or config)
    run.mkdir(exist_ok=True)
    if not (run / "rollouts").exists():
        game = "pong" if config.startswith("pong") else "cube_crash"
        (run / "rollouts").symlink_to(f"../{game}/rollouts", target_is_directory=True)
    assert main(["forward", "--config", f"forward/{config}", "--run", str(run), *TINY,
                 *more]) == 0
    return run


@pytest.mark.parametrize("config", [
    pytest.param(name, marks=() if name in ("pong_rnn_deconv_serve", "cube_crash_assets")
                 else pytest.mark.slow)
    for name in (name.removeprefix("forward/") for name in CONFIGS)])
def test_every_config_trains_and_predicts(runs: Path, config: str) -> None:
    run = _train(runs, config)
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
    whole = _train(runs, "pong_frame_transform", "whole")
    half = _train(runs, "pong_frame_transform", "half", "--set", "forward.steps=2")
    _train(runs, "pong_frame_transform", "half")
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
                     str(tmp_path / name), *TINY, *FRESH, *more]) == 0
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


def test_a_network_is_an_environment(runs: Path) -> None:
    run = runs / "pong_rnn_dense"
    env = gymnasium.make("worldmodels/Forward-v0", run=run, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    first, _ = env.reset(seed=3)
    again, _ = env.reset(seed=3)
    np.testing.assert_array_equal(first, again)
    after, *_ = env.step(env.action_space.sample())
    np.testing.assert_array_equal(picture(env), after)


def test_dqn_learns_inside_a_network(runs: Path) -> None:
    """Pong learnt in frames that are predicted, the policy chosen and judged in Pong."""
    run = runs / "inside"
    words = ["--config", "forward/inside", "--run", str(run), *TINY, *(
        word for setting in (
            "evolve.select=real", "learn.steps=40", "learn.delay=20", "learn.every=20",
            "learn.evaluate_every=40", "learn.evaluate_rollouts=1", "learn.layers=[8]",
            "frames.layers=strided_1", "evaluate.episodes=2", "evaluate.random_episodes=0")
        for word in ("--set", setting))]
    assert stages_of(load_config("forward/inside")) == ["rollouts", "forward", "learn", "evaluate",
                                                        "figures"]
    assert stages_of(load_config("forward/inside", ["forward.fresh=64"]))[0] == "forward"
    assert "'learn' needs 'forward' first" in refused(command("learn", *words))
    _train(runs, "pong_rnn_deconv", "inside")
    assert main(["learn", *words]) == 0
    assert load_json(run / "learn" / "agent.json", dict)["world"] == "forward"
    steps = [row["steps"] for row in load_json_lines(run / "learn" / "episodes.jsonl",
                                                     LearningEpisode)]
    assert sum(steps) >= 40
    assert main(["evaluate", *words]) == 0
    judged = load_json(run / "evaluate" / "evaluation.json", dict)
    assert judged["unmodified"] and judged["results"]["agent"]["episodes"] == 2


@pytest.mark.slow
def test_c_evolves_inside_a_network(tiny_run: Path, tmp_path: Path) -> None:
    """V and M look at predicted frames as at the game's; the game may choose the agent."""
    run = tmp_path / "run"
    run.mkdir()
    for stage in ("rollouts", "vae", "latents", "memory"):
        (run / stage).symlink_to(tiny_run / stage, target_is_directory=True)
    words = ["--config", str(TINY_CONFIG), "--run", str(run), *TINY[4:], "--set",
             "forward.validation=0.5", "--set", "evolve.world=forward", "--set",
             "evolve.select=real"]
    for verb in ("forward", "evolve"):
        assert main([verb, *words]) == 0
    origin = load_json(run / "evolve" / "agent.json", dict)
    assert (origin["world"], origin["chosen_in"]) == ("forward", "real")


@pytest.mark.parametrize("config", ["pong_rnn_dense", "cube_crash_assets"])
def test_playing_shows_true_predicted_and_difference(runs: Path, tmp_path: Path,
                                                     config: str) -> None:
    run = _train(runs, config)
    result = command("play", "--run", run, "--world", "forward", "--gif", tmp_path / "out.webp",
                     DISPLAY="", WAYLAND_DISPLAY="")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "out.webp") as film:
        assert film.width == 3 * 192 + 4 * 8


def test_the_difference_is_the_absolute_one(runs: Path) -> None:
    from worldmodels_repro.watch.forward_scene import ForwardScene

    run = runs / "pong_rnn_dense"
    settings = load_config(run / "config.yaml")
    scene = ForwardScene(game_named("pong"), load_frame_network(run, settings.forward, "pong"),
                         None, 5)
    for _ in range(5):
        scene.step(np.eye(9, dtype=np.float32)[0])
    true, drawn, apart = (panel.astype(int) for panel in scene.panels().values())
    np.testing.assert_array_equal(apart, np.abs(true - drawn))
    assert apart.any()


def test_a_state_is_moved_by_hand(runs: Path) -> None:
    """Keys choose a number, those that matter first, move it, and let the network go on."""
    from worldmodels_repro.watch.forward_scene import MOVE, StateScene, by_hand
    from worldmodels_repro.watch.window import pressed

    run = runs / "pong_rnn_dense"
    dream = load_forward_dream(run, load_config(run / "config.yaml"))
    keys, scene = by_hand(game_named("pong")), StateScene(dream, 5, None)

    def press(*held: str) -> tuple[np.ndarray, np.ndarray]:
        assert not scene.step(pressed(keys, set(held)))
        return tuple(scene.panels().values())  # type: ignore[return-value]

    first, numbers = scene.panels().values()
    assert first.shape == (64, 64, 3) and numbers.shape == (9, 9, 3)  # 8 units, 9 states of them
    chosen, state = scene.chosen, scene._state.copy()
    for _ in range(40):
        moved, _ = press("up")
    assert scene.chosen == chosen and (moved != first).any()
    state[0, chosen] += 40 * MOVE
    np.testing.assert_allclose(scene._state, state, rtol=1e-4)
    press("right")
    other = scene.chosen
    assert other != chosen and press("left") and scene.chosen == chosen
    rest = [scene._order[place] for place in range(16, 72)]  # of the far layer's older states
    assert chosen not in rest and other not in rest
    press("space")
    after = dream.network.predictor(1).step(state, np.zeros((1, 9), np.float32))
    np.testing.assert_allclose(scene._state, after.state, atol=1e-4)


def test_a_state_is_swept_where_nobody_moves_it(runs: Path) -> None:
    from worldmodels_repro.watch.forward_scene import LAP, MOVE, StateScene

    run = runs / "pong_rnn_dense"
    scene = StateScene(load_forward_dream(run, load_config(run / "config.yaml")), 5, 2)
    first, at = scene._state.copy(), list[float]()
    over, swept = False, []
    while not over:
        swept.append(scene.chosen)
        over = scene.step(scene.act())
        at.append(float(scene._state[0, swept[-1]] - first[0, swept[-1]]))
    assert swept == [swept[0]] * LAP + [swept[-1]] * LAP and swept[0] != swept[-1]
    assert max(at) == pytest.approx(MOVE * LAP / 4, rel=1e-4)
    assert min(at) == pytest.approx(-MOVE * LAP / 4, rel=1e-4)
    np.testing.assert_allclose(scene._state, first, atol=1e-5)


def test_an_asset_network_shows_its_parts(runs: Path) -> None:
    """Parts are the pictures where their shifts have brought them; together they are the frame."""
    from worldmodels_repro.report.forward import assets
    from worldmodels_repro.run import Run
    from worldmodels_repro.watch.forward_scene import PartsScene

    run = _train(runs, "cube_crash_assets")
    config = load_config(run / "config.yaml")
    network = load_frame_network(run, config.forward, config.game)
    kept, predictor = load_npz(run / "forward" / "contexts.npz"), network.predictor(1)
    state = predictor.start(Context(kept["frames"][:1], kept["actions"][:1], kept["serve"][:1]))
    for _ in range(10):  # so that the far layer's state counts
        after = predictor.step(state, np.array([[0, 1, 0]], np.float32))
        state = after.state
    shifts, pictures = predictor.parts(state)
    weights = load_npz(run / "forward" / "weights.npz")
    hats = [np.maximum(0.0, 1.0 - np.abs(np.arange(32)[:, None] - np.arange(32) - shift))
            for shift in shifts[0].ravel()]  # x, y of each
    moved = np.stack([np.einsum("ij,kl,jlc->ikc", hats[2 * k + 1], hats[2 * k],
                                weights["assets/pictures"][k]) for k in range(3)])
    ground = weights["assets/ground"]
    np.testing.assert_allclose(pictures[0], 1.0 / (1.0 + np.exp(-moved - ground)), atol=1e-3)
    np.testing.assert_allclose(after.frames[0], 1.0 / (1.0 + np.exp(-moved.sum(axis=0) - ground)),
                               atol=1e-3)
    table = assets(Run(run, config))
    assert list(table["rows"]) == ["frame", "network", "asset 1", "asset 2", "asset 3"]
    scene = PartsScene(game_named("cube_crash"), network, None, 5)
    scene.step(np.zeros(3, np.float32))
    titles = list(scene.panels())
    assert titles[:2] == ["the game", "predicted"] and len(titles) == 5
    assert titles[2].startswith("asset 1: ")
    dense = runs / "pong_rnn_dense"
    with pytest.raises(UserError, match="network=assets"):
        assets(Run(dense, load_config(dense / "config.yaml")))


@pytest.mark.slow
def test_figures_animate_assets_and_play_moves_states(runs: Path) -> None:
    run = _train(runs, "cube_crash_assets")
    assert main(["figures", "--run", str(run)]) == 0
    assert (run / "figures" / "assets.png").exists()
    with Image.open(run / "figures" / "assets.webp") as film:
        assert film.width == 5 * 192 + 6 * 8
    result = command("play", "--run", run, "--world", "forward", "--state", DISPLAY="",
                     WAYLAND_DISPLAY="")
    assert result.returncode == 0, result.stderr
    assert len(list((run / "play").glob("state-*.webp"))) == 1


def test_the_bench_of_runs_is_a_table(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = _train(runs, "pong_rnn_deconv_serve")
    out = runs / "bench.json"
    capsys.readouterr()
    assert main(["bench", str(runs / "pong_rnn_dense"), str(other), "--episodes", "4",
                 "--out", str(out)]) == 0
    table = load_json(out, dict)
    assert {row["model"] for row in table["rows"]} == {
        "pong_rnn_dense", "pong_rnn_deconv_serve", "last frame", "mean frame"}
    assert "pong_rnn_deconv_serve" in capsys.readouterr().out
    assert json.dumps(table)


def test_v_and_m_are_a_model_of_frames(tmp_path: Path) -> None:
    """The run that comes along: M is nearer to the next frame than any one frame is."""
    out = tmp_path / "bench.json"
    assert main(["bench", "logs/carracing", "--episodes", "3", "--out", str(out)]) == 0
    rows = {(row["model"], row["horizon"]): row for row in load_json(out, dict)["rows"]}
    assert rows["carracing (V and M)", 1]["mse"] < 0.5 * rows["mean frame", 1]["mse"]
    assert rows["last frame", 1]["place"] is None


def test_figures_have_a_film_strip(runs: Path) -> None:
    from worldmodels_repro.report.forward import forward_frames
    from worldmodels_repro.run import Run

    run = runs / "pong_rnn_dense"
    table = forward_frames(Run(run, load_config(run / "config.yaml")))
    assert set(table["rows"]) == {"frame", "network"}
    count = len(table["titles"])
    assert count > 1
    assert all(frames.shape == (count, 64, 64, 3) for frames in table["rows"].values())


# --- what bad input gets ---

def test_a_context_longer_than_an_episode(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "short"
    short = ["--set", "rollouts.max_steps=3", "--set", "rollouts.min_steps=1"]
    assert main(["rollouts", "--config", "forward/pong", "--run", str(run), *TINY, *short]) == 0
    line = refused(command("forward", "--config", "forward/pong_rnn_dense", "--run", run, *TINY,
                           *short))
    assert "forward.context=3" in line and "3 frame" in line and "rollouts.min_steps=4" in line


def test_a_network_of_another_game(runs: Path) -> None:
    run = runs / "pong_rnn_dense"
    with pytest.raises(UserError, match="cube_crash's 3 numbers"):
        load_frame_network(run, Forward(), "cube_crash")
    line = refused(command("forward", "--config", "forward/cube_crash_rnn_dense", "--run", run))
    assert "game: pong there, cube_crash here" in line
    cube = _train(runs, "cube_crash_rnn_dense")
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


@pytest.mark.parametrize(("words", "said"), [
    (["bench", "logs/none"], "holds no run"), (["bench"], "--help"),
    (["play", "--run", "logs/carracing", "--world", "forward"], "'forward' writes it"),
    (["play", "--run", "logs/carracing", "--state"], "add --world forward"),
])
def test_wrong_words(words: list[str], said: str) -> None:
    assert said in refused(command(*words, DISPLAY="", WAYLAND_DISPLAY=""))


def test_what_is_not_there_is_named(runs: Path) -> None:
    with pytest.raises(UserError, match="forward stage"):
        gymnasium.make("worldmodels/Forward-v0", run=runs / "pong")
    with pytest.raises(UserError, match="rgb_array"):
        ForwardEnv(runs / "pong_rnn_dense", render_mode="ansi")


def test_a_scripted_player_needs_a_game_that_has_one(tmp_path: Path) -> None:
    line = refused(command("rollouts", "--config", "quick", "--run", tmp_path / "run", "--set",
                           "rollouts.policies={scripted: 2}"))
    assert "no scripted player" in line
