"""A game of a user's own: its row written, tried before hours are spent, and recordings of it."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import command, refused
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from PIL import Image

from worldmodels_repro.config import load_config
from worldmodels_repro.data.recorded import recorded
from worldmodels_repro.envs import own
from worldmodels_repro.envs.game import Game, largest_of_each, of_choices, one_of_each
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.storage import load_json_lines, load_npz, save_npz
from worldmodels_repro.truth.game import look

DOT = Path(__file__).parent / "own.py"


class Blank(gymnasium.Env[Any, Any]):
    """An environment of any spaces; it renders a picture where it is asked to."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, observation: spaces.Space[Any], action: spaces.Space[Any],
                 render_mode: str | None = None):
        self.observation_space, self.action_space = observation, action
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Any]:
        assert action in self.action_space, action
        return self.observation_space.sample(), 1.0, False, False, {}

    def render(self) -> Any:
        return np.full((40, 60, 3), 90, np.uint8)


PICTURE = spaces.Box(0, 255, (48, 80, 3), np.uint8)


def written(tmp_path: Path, observation: spaces.Space[Any],
            action: spaces.Space[Any]) -> tuple[own.Row, Game]:
    """The row of such an environment, and the game that it makes."""
    judge_id = f"test/Blank{len(gymnasium.registry)}-v0"
    gymnasium.register(id=judge_id, entry_point=partial(Blank, observation, action))
    file = tmp_path / "mine.py"
    row = own.row(judge_id, file)
    file.write_text(row.text)
    return row, game_named(f"{file}:GAME")


@pytest.mark.parametrize(("observation", "words"), [
    (PICTURE, "is a picture"),
    (spaces.Box(0, 255, (48, 80), np.uint8), "is a picture"),
    (spaces.Box(0.0, 1.0, (48, 80, 1), np.float32), "is a picture"),
    (spaces.Box(0, 255, (3, 48, 80), np.uint8), "is a picture"),
    (spaces.Box(0, 255, (4, 48, 80), np.uint8), "is a picture"),
    (spaces.Box(0, 255, (4, 48, 80, 3), np.uint8), "is a picture"),
    (spaces.Box(0, 255, (48, 80, 4), np.uint8), "is a picture"),
    (spaces.Dict({"map": spaces.Box(0, 255, (7, 7, 3), np.uint8), "screen": PICTURE,
                  "speed": spaces.Discrete(3)}), "'screen' is a picture"),
    (spaces.Box(-1.0, 1.0, (4,), np.float32), "frames are what it renders"),
    (spaces.Dict({"image": spaces.Box(0, 255, (7, 7, 3), np.uint8)}), "what it renders"),
    (spaces.Tuple((spaces.Discrete(3),)), "what it renders"),
])
def test_any_observation_becomes_a_frame(tmp_path: Path, observation: spaces.Space[Any],
                                         words: str) -> None:
    row, game = written(tmp_path, observation, spaces.Discrete(2))
    assert words in row.found[0]
    env = game.make("original")
    frame, _ = env.reset(seed=1)
    assert frame.shape == (64, 64, 3)
    assert frame.dtype == np.uint8
    assert frame.any()
    if "renders" in words:
        assert (frame == 90).all()
    else:
        assert frame.std() > 5  # noise, not a range that was cut to one level
    assert game.state == (4 if observation.shape == (4,) else 0)


@pytest.mark.parametrize(("action", "numbers", "given", "taken"), [
    (spaces.Discrete(3), 3, [0.1, 0.2, -1.0], 1),
    (spaces.Discrete(3, start=5), 3, [0.1, 0.2, 0.3], 7),
    (spaces.MultiDiscrete([3, 2]), 5, [0.0, 0.5, 0.7, 0.2, 0.1], [2, 0]),
    (spaces.MultiBinary(3), 3, [0.5, -0.5, 0.1], [1, 0, 1]),
    (spaces.Box(-2.0, 1.0, (2,), np.float32), 2, [-1.5, 0.5], [-1.5, 0.5]),
    (spaces.Box(-1.0, 1.0, (2, 2), np.float32), 4, [0.1, 0.2, 0.3, 0.4], [[0.1, 0.2], [0.3, 0.4]]),
    (spaces.Box(-np.inf, np.inf, (1,), np.float32), 1, [0.5], [0.5]),
    (spaces.Box(0, 9, (1,), np.int64), 1, [3.6], [4]),
])
def test_any_action_is_given_by_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        action: spaces.Space[Any], numbers: int,
                                        given: list[float], taken: Any) -> None:
    _, game = written(tmp_path, PICTURE, action)
    assert game.actions == numbers
    assert np.isfinite(game.low).all() and (game.low < game.high).all()
    assert all(len(push) == numbers for push in game.keys.values()) and game.keys
    seen, step = [], Blank.step

    def watched(self: Blank, action: Any) -> Any:
        seen.append(action)
        return step(self, action)

    monkeypatch.setattr(Blank, "step", watched)
    env = game.make("original")
    env.reset(seed=1)
    env.step(np.array(given, np.float32))
    np.testing.assert_allclose(seen[0], taken)
    for _ in range(20):
        env.step(game.random_action(np.random.default_rng(0)))


def test_actions_that_c_can_not_give_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="C gives numbers in ranges or choices"):
        written(tmp_path, PICTURE, spaces.Dict({"a": spaces.Discrete(2)}))


def test_choices_of_several_parts() -> None:
    action = np.array([0.1, 0.9, -0.5, 0.2, 0.1])
    assert largest_of_each(action, (3, 2)).tolist() == [1, 0]
    np.testing.assert_array_equal(one_of_each(action[None], (3, 2)), [[0, 1, 0, 1, 0]])


def test_new_game_writes_a_row_once_and_check_game_finds_it_healthy(tmp_path: Path) -> None:
    shutil.copy(DOT, tmp_path / "dot.py")
    file = tmp_path / "my_game.py"
    done = command("new-game", file, "--env", f"{tmp_path / 'dot.py'}:Dot")
    assert done.returncode == 0, done.stderr
    assert "3 choices" in done.stdout and "at most 1000" in done.stdout
    assert "there already" in refused(command("new-game", file, "--env", "CartPole-v1"))
    checked = command("check-game", file, "--episodes", 1, "--seconds", 2)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "nothing is wrong" in checked.stdout
    assert f"worldmodels all quick --set game={file}:GAME" in checked.stdout
    with Image.open(tmp_path / "my_game.png") as sheet:
        assert sheet.height == 2 * 192 + 3 * 8


@pytest.mark.parametrize(("name", "words"), [
    ("NoSuchGame-v3", "gymnasium can't make it"), ("no_such_module:Game", "can't be imported"),
    ("no_such_file.py:Game", "there is no file"),
])
def test_environments_that_are_none_are_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        own.row(name, tmp_path / "mine.py")


SICK = '''
import os, time
import gymnasium
import numpy as np
from functools import partial
from gymnasium import spaces
from worldmodels_repro.envs.game import Game, Seen, of_choices

class Sick(gymnasium.Env):
    observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}
    def __init__(self, render_mode=None):
        self.render_mode = render_mode
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.age = self.last = 0
        return self.render(), {}
    def step(self, action):
        self.age += 1
        self.last = int(action)
        DISEASE
        return self.render(), REWARD, self.age > 20, False, {}
    def render(self):
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[PLACE:PLACE + 9, 3:9] = 200
        return picture

gymnasium.register(id="SICK/Sick-v0", entry_point=Sick)
GAME = Game(name="sick", judge_id="SICK/Sick-v0", frames=partial(Seen, see=lambda seen: SEE,
            act=np.argmax), solved=1.0, max_steps=40, **of_choices(2))
'''


def sick(tmp_path: Path, **changes: str) -> str:
    """A game file with that much wrong in it."""
    text = SICK
    healthy = {"DISEASE": "pass", "REWARD": "float(action)", "SEE": "seen",
               "PLACE": "2 * self.age + self.last", "SICK": tmp_path.name}
    for name, code in {**healthy, **changes}.items():
        text = text.replace(name, code)
    file = tmp_path / "sick.py"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize(("changes", "words"), [
    ({}, None),
    ({"REWARD": "0.0"}, "no policy ever met a reward"),
    ({"REWARD": "float('nan')"}, "a reward is nan"),
    ({"REWARD": "0.5"}, "every episode scored"),
    ({"PLACE": "5"}, "what V sees never changes"),
    ({"SEE": "seen[:32]"}, "shows V (32, 64, 3) uint8"),
    ({"SEE": "seen / 255.0"}, "float64, and a frame is"),
    ({"SEE": "seen // 255"}, "of one colour"),
    ({"PLACE": "2 * self.age", "REWARD": "float(self.np_random.random())"},
     "no action changes anything"),
    ({"DISEASE": "self.age += int(np.random.rand() < 0.5)"}, "the same seed and actions"),
    ({"DISEASE": "1 / (self.age < 9)"}, "it raises ZeroDivisionError (division by zero) in"),
])
def test_what_is_wrong_with_a_game_is_said(tmp_path: Path, changes: dict[str, str],
                                           words: str | None) -> None:
    found = look(f"{sick(tmp_path, **changes)}:GAME", episodes=2, seconds=0.1)
    if words is None:
        assert not found.problems and found.speed > 0
    else:
        assert words in found.problems[0], found.problems


@pytest.mark.parametrize(("disease", "words"), [
    ("1 / (self.age < 9)", "it raises ZeroDivisionError (division by zero) in"),
    ("os._exit(7) if self.age > 9 else None", "ends the whole process (exit code 7)"),
    ("time.sleep(60) if self.age > 9 else None", "it hangs: call"),
])
def test_a_game_that_ends_or_hangs_its_process_is_told_in_a_line(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], disease: str, words: str) -> None:
    from worldmodels_repro.verbs.check_game import run

    file = sick(tmp_path, DISEASE=disease)
    assert run(file, episodes=1, seconds=1, hangs=5, png=None) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("PROBLEM")]
    assert len(lines) == 1
    assert words in lines[0] and file in lines[0]


@pytest.mark.parametrize(("name", "package"), [("cart_pole", "gymnasium"), ("enduro", "ale_py")])
def test_the_games_of_the_docs_are_fit(name: str, package: str) -> None:
    pytest.importorskip(package)
    config = load_config(f"examples/games/{name}.yaml")
    found = look(config.game, episodes=1, seconds=0.1)
    met = [problem for problem in found.problems if "no policy ever met a reward" not in problem]
    assert not met  # a hundred steps are too few to overtake by chance
    assert found.speed > 0


def test_a_game_that_is_none_is_refused(tmp_path: Path) -> None:
    line = refused(command("check-game", tmp_path / "none.py"))
    assert "there is no file" in line


def game_of_two(**fields: Any) -> Game:
    return Game(name="mine", judge_id="own/Dot-v0", solved=1.0, **{**of_choices(2), **fields})


def recording(**others: np.ndarray) -> dict[str, np.ndarray]:
    rng, steps = np.random.default_rng(0), 6
    return {"frames": rng.integers(0, 256, (steps, 48, 80, 3), np.uint8),
            "actions": np.arange(steps) % 2, "rewards": np.arange(steps, dtype=float),
            "terminated": np.arange(steps) == 3, **others}


def test_recordings_are_cut_into_episodes(tmp_path: Path) -> None:
    save_npz(tmp_path / "a.npz", recording())
    episodes = list(recorded(str(tmp_path), game_of_two()))
    assert [len(episode["rewards"]) for episode in episodes] == [4, 2]
    first, second = episodes
    assert first["frames"].shape == (4, 64, 64, 3) and first["frames"].dtype == np.uint8
    assert first["terminated"].tolist() == [False, False, False, True]
    assert not first["truncated"].any()
    assert second["truncated"].tolist() == [False, True]
    np.testing.assert_array_equal(first["actions"], np.eye(2)[[0, 1, 0, 1]])
    np.testing.assert_array_equal(second["rewards"], [4, 5])


@pytest.mark.parametrize(("arrays", "words"), [
    ({"actions": np.full(6, 2)}, "choices are from 2 to 2"),
    ({"actions": np.zeros((6, 3))}, "actions have 3 numbers"),
    ({"actions": np.full((6, 2), np.nan)}, "an action is no number"),
    ({"rewards": np.full(6, np.nan)}, "a reward is no number"),
    ({"rewards": np.zeros(5)}, "rewards 5"),
    ({"frames": np.zeros((6, 48, 80, 3))}, "not .T, H, W, 3. uint8"),
    ({"truncated": np.zeros(2, bool)}, "truncated 2"),
    ({"rewards": np.array(1.0)}, "rewards 0"),
    ({"rewards": np.array(["much"] * 6)}, "rewards are <U4, not numbers"),
    ({"terminated": np.zeros((6, 2), bool)}, "one number a step"),
])
def test_recordings_that_can_not_be_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray],
                                                words: str) -> None:
    save_npz(tmp_path / "a.npz", recording(**arrays))
    with pytest.raises(UserError, match=words):
        list(recorded(str(tmp_path / "a.npz"), game_of_two()))


def test_a_recording_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no .npz is at"):
        next(recorded(str(tmp_path), game_of_two()))
    lacking = recording()
    del lacking["rewards"]
    save_npz(tmp_path / "a.npz", lacking)
    with pytest.raises(UserError, match="no array rewards"):
        next(recorded(str(tmp_path), game_of_two()))


def test_recorded_episodes_are_rollouts_like_others(tmp_path: Path) -> None:
    save_npz(tmp_path / "recording.npz", recording(actions=np.arange(6) % 3))
    with pytest.raises(UserError, match="actions have 1 numbers"):  # a row without `choices`
        next(recorded(str(tmp_path), game_named(f"{DOT}:GAME")))
    save_npz(tmp_path / "recording.npz", recording(actions=np.eye(3)[np.arange(6) % 3]))
    done = command("rollouts", "--config", "tests/tiny.yaml", "--run", tmp_path / "run",
                   "--set", f"game={DOT}:GAME", "--set", "rollouts.policies={held: 1}",
                   "--set", f"rollouts.recorded={tmp_path / 'recording.npz'}")
    assert done.returncode == 0, done.stderr
    lines = load_json_lines(tmp_path / "run" / "rollouts" / "manifest.jsonl", dict)
    assert [(line["episode"], line["length"]) for line in lines][:2] == [
        ("recorded-000000", 4), ("recorded-000001", 2)]
    assert lines[2]["policy"] == "held"
    again = load_npz(tmp_path / "run" / "rollouts" / "recorded-000001.npz")
    np.testing.assert_array_equal(again["rewards"], [4, 5])


def test_a_minari_dataset_is_rollouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari")
    pytest.importorskip("jax")  # what Minari makes data sets with, but does not read them with
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = minari.DataCollector(TimeLimit(Blank(PICTURE, spaces.Discrete(2)), 5))
    for seed in range(2):
        env.reset(seed=seed)
        for step in range(5):
            env.step(step % 2)
    env.create_dataset(dataset_id="test/recorded-v0")
    episodes = list(recorded("minari:test/recorded-v0", game_of_two()))
    assert [len(episode["rewards"]) for episode in episodes] == [5, 5]
    assert episodes[0]["truncated"].tolist() == [False] * 4 + [True]
    np.testing.assert_array_equal(episodes[0]["actions"], np.eye(2)[[0, 1, 0, 1, 0]])
    with pytest.raises(UserError, match="minari download"):
        next(recorded("minari:test/none-v0", game_of_two()))
