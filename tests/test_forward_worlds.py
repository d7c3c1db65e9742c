"""Networks that predict frames as worlds: lived in, played, moved by hand, seen, and measured."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from conftest import TINY, command, picture, refused
from forward_runs import SMALL, moving, trained
from gymnasium.utils.env_checker import check_env
from PIL import Image

import worldmodels_repro.envs  # noqa: F401 - registers the environments
from worldmodels_repro.cli import main
from worldmodels_repro.config import load_config
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.envs.small import white_place
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import Context, Predicted
from worldmodels_repro.models.forward.predictor import load_frame_network
from worldmodels_repro.records import LearningEpisode
from worldmodels_repro.report.card import table, text
from worldmodels_repro.run import load_run, stages_of
from worldmodels_repro.storage import load_json, load_json_lines, load_npz
from worldmodels_repro.truth.horizons import HeldOut, bench
from worldmodels_repro.worlds.forward import load_forward_dream
from worldmodels_repro.worlds.forward_env import ForwardEnv


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
    words = ["--config", "forward/inside", "--run", str(run), *SMALL, *(
        word for setting in (
            "evolve.select=real", "learn.steps=40", "learn.delay=20", "learn.every=20",
            "learn.evaluate_every=40", "learn.evaluate_rollouts=1", "learn.layers=[8]",
            "frames.layers=strided_1", "evaluate.episodes=2", "evaluate.random_episodes=0")
        for word in ("--set", setting))]
    assert stages_of(load_config("forward/inside")) == ["rollouts", "forward", "learn", "evaluate",
                                                        "figures"]
    assert stages_of(load_config("forward/inside", ["forward.fresh=64"]))[0] == "forward"
    assert "'learn' needs 'forward' first" in refused(command("learn", *words))
    trained(runs, "pong_rnn_deconv", "inside")
    assert main(["learn", *words]) == 0
    assert load_json(run / "learn" / "agent.json", dict)["world"] == "forward"
    steps = [row["steps"] for row in load_json_lines(run / "learn" / "episodes.jsonl",
                                                     LearningEpisode)]
    assert sum(steps) >= 40
    assert main(["evaluate", *words]) == 0
    judged = load_json(run / "evaluate" / "evaluation.json", dict)
    assert judged["unmodified"] and judged["results"]["agent"]["episodes"] == 2
    assert "learnt by DQN, in frames that a network predicts." in text(table(load_run(run)))


@pytest.mark.slow
def test_c_evolves_inside_a_network(tiny_run: Path, tmp_path: Path) -> None:
    """V and M look at predicted frames as at the game's; the game may choose the agent."""
    run = tmp_path / "run"
    run.mkdir()
    for stage in ("rollouts", "vae", "latents", "memory"):
        (run / stage).symlink_to(tiny_run / stage, target_is_directory=True)
    words = ["--config", str(TINY), "--run", str(run), *SMALL[4:], "--set",
             "forward.validation=0.5", "--set", "evolve.world=forward", "--set",
             "evolve.select=real"]
    for verb in ("forward", "evolve"):
        assert main([verb, *words]) == 0
    origin = load_json(run / "evolve" / "agent.json", dict)
    assert (origin["world"], origin["chosen_in"]) == ("forward", "real")


# --- what is looked at ---

@pytest.mark.parametrize("config", ["pong_rnn_dense", "cube_crash_assets"])
def test_playing_shows_true_predicted_and_difference(runs: Path, tmp_path: Path,
                                                     config: str) -> None:
    run = trained(runs, config)
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

    run = trained(runs, "cube_crash_assets")
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
    run = trained(runs, "cube_crash_assets")
    assert main(["figures", "--run", str(run)]) == 0
    assert (run / "figures" / "assets.png").exists()
    with Image.open(run / "figures" / "assets.webp") as film:
        assert film.width == 5 * 192 + 6 * 8
    result = command("play", "--run", run, "--world", "forward", "--state", DISPLAY="",
                     WAYLAND_DISPLAY="")
    assert result.returncode == 0, result.stderr
    assert len(list((run / "play").glob("state-*.webp"))) == 1


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
    frames = np.stack([episode["frames"] for episode in moving()]).repeat(2, 2).repeat(2, 3)
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


def test_the_bench_of_runs_is_a_table(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = trained(runs, "pong_rnn_deconv_serve")
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
