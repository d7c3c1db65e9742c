"""The stage learn through the real command line: whole, killed, judged, filmed, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import killed_after
from learn_runs import config_of, does, ends, refusal

from worldmodels_repro.config import Config, load_config
from worldmodels_repro.envs.classic import GAMES
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.report.card import table, text
from worldmodels_repro.run import Run, load_run, stages_of
from worldmodels_repro.storage import load_csv, load_json, load_json_lines, load_npz
from worldmodels_repro.worlds.episodes import play
from worldmodels_repro.worlds.frames import FramesWorld, StatesWorld

DQN = """
game: cart_pole
controller: {by: dqn, inputs: [o]}
learn: {steps: 900, layers: [8], delay: 50, target_every: 100, epsilon_steps: 300, buffer: 400,
        alpha: 0.6, omega: 0.5, evaluate_every: 150, evaluate_rollouts: 2}
evolve: {workers: 1}
evaluate: {episodes: 2, random_episodes: 2}
"""
TD3 = """
game: pendulum
controller: {by: td3, inputs: [o]}
learn: {steps: 800, layers: [8], delay: 200, random_steps: 200, every: 0, buffer: 500, batch: 16,
        evaluate_every: 200, evaluate_rollouts: 1}
"""


def test_a_learnt_c_has_a_card(learnt: Path) -> None:
    card = text(table(load_run(learnt)))
    assert "from o to" in card and "learnt by DQN, in the game" in card
    assert "None: C met the game alone." in card and "**V**" not in card


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose C has learnt, was judged and drawn."""
    folder = tmp_path_factory.mktemp("learn")
    config = config_of(folder, DQN)
    for verb in ("learn", "evaluate", "figures"):
        does(verb, "--config", config, "--run", folder / "run")
    return folder / "run"


@pytest.mark.parametrize("text", [
    DQN, pytest.param(TD3, marks=pytest.mark.slow)], ids=["dqn", "td3"])
def test_a_killed_run_ends_like_one_that_was_never_killed(tmp_path: Path, text: str,
                                                          request: Any) -> None:
    config, run = config_of(tmp_path, text), tmp_path / "killed"
    if text is DQN:
        whole = request.getfixturevalue("learnt")
    else:
        whole = tmp_path / "whole"
        does("learn", "--config", config, "--run", whole)
    killed_after(2, run / "learn" / "history.csv", "learn", "--config", config, "--run", run)
    assert load_csv(run / "learn" / "history.csv")[-1]["step"] < load_config(config).learn.steps
    does("learn", "--config", config, "--run", run)
    assert ends(run) == ends(whole)


def test_more_steps_go_on_from_those_there(learnt: Path, tmp_path: Path) -> None:
    config, run = config_of(tmp_path, DQN), tmp_path / "run"
    for steps in (400, 900):
        does("learn", "--config", config, "--run", run, "--set", f"learn.steps={steps}")
    theirs = load_json_lines(learnt / "learn" / "episodes.jsonl", dict)
    assert load_json_lines(run / "learn" / "episodes.jsonl", dict) == theirs


def test_a_learner_is_judged_as_an_evolved_agent_is(learnt: Path) -> None:
    judged = load_json(learnt / "evaluate" / "evaluation.json", dict)
    assert (judged["environment"], judged["unmodified"]) == ("CartPole-v1", True)
    assert judged["controller"] == {"by": "dqn", "inputs": ["o"], "hidden": [8], "weights": 58}
    best = max(load_csv(learnt / "learn" / "history.csv", "mean"), key=lambda row: row["mean"])
    assert judged["agent"]["step"] == best["step"] and judged["agent"]["mean"] == best["mean"]
    assert len(judged["episodes"]["agent"]) == len(judged["episodes"]["random"]) == 2
    assert not (learnt / "rollouts").exists() and not (learnt / "evolve").exists()
    assert (learnt / "figures" / "learning.png").exists()


def test_a_learner_is_filmed_and_plays_in_python(learnt: Path, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    from worldmodels_repro.api import LoadedRun

    film = tmp_path / "film.webp"
    does("play", "--run", learnt, "--gif", film)
    assert film.exists() and "agent of step" in capsys.readouterr().out
    assert "no dream" in refusal(capsys, "play", "--run", learnt, "--world", "dream")
    judged = load_json(learnt / "evaluate" / "evaluation.json", dict)["episodes"]["agent"]
    played = LoadedRun(learnt).play(seeds=[row["seed"] for row in judged])
    assert played.returns.tolist() == [row["score"] for row in judged]


def test_results_and_doubts_know_a_learner(learnt: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    does("evaluate", "--run", learnt, "--again")
    assert "2 of 2 episodes to the last digit" in capsys.readouterr().out
    does("results", "--run", learnt, "--json")
    told = json.loads(capsys.readouterr().out)
    assert [row["stage"] for row in told["stages"]] == ["learn", "evaluate"]
    assert told["milestones"] == []


def test_cma_es_plays_the_same_game_from_its_state(tmp_path: Path) -> None:
    config = config_of(tmp_path, DQN)
    words = ("--config", config, "--run", tmp_path / "run", "--set", "controller.by=cma_es",
             "--set", "evolve.generations=2", "--set", "evolve.population=4", "--set",
             "evolve.rollouts=1", "--set", "evolve.evaluate_every=2", "--set",
             "evolve.evaluate_rollouts=2")
    for verb in ("evolve", "evaluate"):
        does(verb, *words)
    judged = load_json(tmp_path / "run" / "evaluate" / "evaluation.json", dict)
    assert judged["controller"] == {"by": "cma_es", "inputs": ["o"], "hidden": 0, "weights": 10}


@pytest.mark.parametrize(("name", "by", "world", "outputs"), [
    ("carracing", "td3", "real", 3), ("doom", "dqn", "dream", 3)])
def test_a_learner_sees_what_v_and_m_of_another_run_see(tmp_path: Path, name: str, by: str,
                                                        world: str, outputs: int) -> None:
    """TD3 in the game of logs/carracing, DQN in the dream of logs/doom."""
    theirs, run = Path(__file__).parents[1] / "logs" / name, tmp_path / "run"
    run.mkdir()
    for stage in ("vae", "memory"):
        (run / stage).symlink_to(theirs / stage, target_is_directory=True)
    does("learn", "--config", theirs / "config.yaml", "--run", run, *(
        word for setting in (
            f"controller.by={by}", "controller.inputs=[z,h]", f"evolve.world={world}",
            "evolve.select=null", "evolve.max_steps=20", "learn.steps=50", "learn.delay=20",
            "learn.batch=8", "learn.layers=[8]", "learn.random_steps=20",
            "learn.evaluate_rollouts=1")
        for word in ("--set", setting)))
    agent = load_json(run / "learn" / "agent.json", dict)
    assert (agent["by"], agent["world"]) == (by, world)
    assert 50 <= agent["step"] < 70
    config = load_config(theirs / "config.yaml")
    features = config.vae.z + config.memory.units
    assert load_npz(run / "learn" / "agent.npz")["weights"].shape == (
        (features + 1) * 8 + 9 * outputs,)


# --- which stages a run has ---

def test_one_setting_says_which_controller_a_run_has(tmp_path: Path) -> None:
    assert stages_of(Config()) == ["rollouts", "vae", "latents", "memory", "evolve", "evaluate",
                                   "figures"]
    state = load_config(config_of(tmp_path, DQN))
    assert stages_of(state) == ["learn", "evaluate", "figures"]
    seen = load_config(config_of(tmp_path, DQN), ["controller.inputs=[z,h]"])
    assert stages_of(seen) == ["rollouts", "vae", "latents", "memory", "learn", "evaluate",
                               "figures"]
    settings = Run(tmp_path, state).settings("evaluate")
    assert settings["controller.by"] == "dqn" and settings["game"] == "cart_pole"
    assert "learn.gamma" in settings and "vae.z" not in settings


# --- games with a state ---

@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
def test_a_game_of_states_is_also_one_of_frames(game: Game) -> None:
    states, frames = StatesWorld(game, 1), FramesWorld(game, 1, "original")
    for world in (states, frames):
        world.reset(0, 5)
    assert states.features().shape == (1, game.state) and states.features().dtype == np.float32
    first = frames.features().copy()
    assert first.shape == (1, 64, 64, 3) and first.dtype == np.uint8 and first.std() > 1
    rng = np.random.default_rng(1)
    for _ in range(8):
        action = game.random_action(rng)[None]
        ours, theirs = states.step(action), frames.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
    assert (frames.features() != first).any()


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
def test_what_is_judged_is_what_gymnasium_gives(game: Game) -> None:
    import gymnasium

    env = gymnasium.make(game.judge_id)
    observation, _ = env.reset(seed=9)
    rng, total, steps = np.random.default_rng(2), 0.0, 0
    actions = [game.random_action(rng) for _ in range(game.max_steps)]
    world = StatesWorld(game, 1)
    world.reset(0, 9)
    np.testing.assert_array_equal(world.features()[0], observation.astype(np.float32))
    for action in actions:
        own = action if game.ranges else int(action.argmax())
        _, reward, terminated, truncated, _ = env.step(own)
        total, steps = total + float(reward), steps + 1
        if terminated or truncated:
            break

    class Repeats:
        def __init__(self) -> None:
            self._actions = iter(actions)

        def reset(self, slot: int, seed: int, episode: int) -> None:
            pass

        def act(self, observations: np.ndarray) -> np.ndarray:
            return next(self._actions)[None]

    played = play(StatesWorld(game, 1), Repeats(), [9], game.max_steps)
    assert (played.returns[0], played.steps[0]) == (pytest.approx(total), steps)


def test_an_ending_is_told_from_a_cut() -> None:
    world = StatesWorld(game_named("cart_pole"), 1)
    world.reset(0, 1)
    dones = np.zeros(1, bool)
    while not dones[0]:
        _, dones = world.step(np.array([[1.0, 0.0]], np.float32))
    assert world.terminated[0]
    world = StatesWorld(game_named("pendulum"), 1)
    world.reset(0, 1)
    for _ in range(200):
        _, dones = world.step(np.zeros((1, 1), np.float32))
    assert dones[0] and not world.terminated[0]


def test_choices_are_actions_of_the_game() -> None:
    car = game_named("car_racing")
    assert car.ranges and car.choices is not None
    assert ((car.low <= car.choices) & (car.choices <= car.high)).all()
    lander = game_named("lunar_lander")
    assert not lander.ranges
    np.testing.assert_array_equal(lander.choose(np.array([[0.0, 9.0, 1.0, 2.0]])), [[0, 1, 0, 0]])
    np.testing.assert_array_equal(lander.taken(np.array([0.1, 0.2, 0.9, 0.3])), [0, 0, 1, 0])


# --- what bad input gets ---

@pytest.mark.parametrize(("settings", "words"), [
    (["game=pendulum"], "pendulum has no choices for DQN to pick from: set controller.by=td3"),
    (["controller.by=td3"], "cart_pole is a game of choices"),
    (["game=take_cover"], "take_cover has no state to see"),
    (["learn.buffer=20"], "learn.buffer=20 is smaller than a batch of 32"),
    (["learn.buffer=40", "learn.omega=0.5"], "in each half: set learn.buffer=64"),
    (["learn.alpha=1.5"], "learn.alpha"),
    (["learn.omega=1.01"], "learn.omega"),
    (["learn.beta=-0.1"], "learn.beta"),
    (["learn.every=0", "learn.updates=4"], "learn.updates"),
    (["evolve.world=dream", "memory.done=true"], "not in M's dream"),
    (["controller.inputs=[o,z]"], "controller.inputs takes o, the game's state, alone"),
    (["controller.hidden=8"], "set learn.layers"),
    (["controller.by=cma_es"], "worldmodels evolve"),
])
def test_a_learner_that_can_not_be_is_refused_in_a_line(
        tmp_path: Path, settings: list[str], words: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    base = DQN.replace(", buffer: 400,\n        alpha: 0.6, omega: 0.5", "")
    line = refusal(capsys, "learn", "--config", config_of(tmp_path, base), "--run", tmp_path / "r",
                   *(word for setting in settings for word in ("--set", setting)))
    assert words in line
    assert not (tmp_path / "r" / "learn").exists()


def test_an_evolution_is_refused_where_c_learns(tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "evolve", "--config", config_of(tmp_path, DQN), "--run", tmp_path / "r")
    assert "worldmodels learn" in line
