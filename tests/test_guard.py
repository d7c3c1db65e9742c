"""A game of a user's own that raises, hangs or gives what none may: one line, nothing lost."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn

import numpy as np
import pytest

from benchmarks.reliability.compare import difference
from worldmodels_repro import pool
from worldmodels_repro.cli import main
from worldmodels_repro.envs.guard import Guard, UnfitError
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.plugins import blaming, load

GAME = '''
import os, sys, time
from pathlib import Path
import gymnasium
import numpy as np
from worldmodels_repro.envs.game import Game, Seen, of_choices, resized
from worldmodels_repro.policies.policy import EachEpisode

ILL = Path(__file__).with_name("ill")  # what there is wrong with it, if anything

def ill():
    return ILL.read_text() if ILL.exists() else ""

class Walk(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-9.0, 9.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}
    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.at = self.age = 0
        if ill() == "never made":
            raise RuntimeError("no licence")
    def state(self):
        if ill() == "state of three":
            return np.zeros(3, np.float32)
        at = np.nan if ill() == "state of nan" else self.at
        return np.array([at, self.age], np.float32)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.first = int(self.np_random.integers(-2, 3))
        self.age = 0
        return self.state(), {}
    def step(self, action):
        self.at, self.age = self.at + 2 * int(action) - 1, self.age + 1
        if self.age == 5:
            if ill() == "raises" or ill() == f"raises at {self.first}":
                raise ValueError("no such place\\nhere")
            if ill() == "ends the program":
                sys.exit(3)
            if ill() == "hangs":
                while True:
                    try:
                        time.sleep(1)
                    except Exception:
                        pass
        reward = {"reward of nan": np.nan, "no reward": None}.get(ill(), -abs(self.at))
        if ill() == "four answers":
            return self.state(), reward, self.age > 8, {}
        return self.state(), reward, self.age > 8, False, {}
    def render(self):
        picture = np.zeros((20, 20, 3), np.uint8)
        picture[5:9, (self.at + 10) % 20] = 255
        return picture

gymnasium.register(id="PLACE/Walk-v0", entry_point=Walk)

def see(env):
    return {"small": env.render(), "floats": resized(env.render()) / 255.0}.get(
        ill(), resized(env.render()))

GAME = Game(name="walk", judge_id="PLACE/Walk-v0", state=2, solved=0.0, max_steps=12,
            frames=lambda env: Seen(env, lambda state: see(env), np.argmax), hang_after=60.0,
            **of_choices(2))

class Player:
    def __init__(self, rng):
        self.rng = rng
    def act(self, frame):
        if ill() == "policy":
            raise KeyError("nothing")
        return self.rng.uniform(-1.0, 1.0, 2).astype(np.float32)

def player(game, settings, agent):
    return EachEpisode(Player)
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The game's file; what is in ``ill`` beside it is wrong with the game."""
    path = tmp_path / "walk.py"
    path.write_text(GAME.replace("PLACE", tmp_path.name))
    return path


ILLS = [("never made", "it raises RuntimeError (no licence) in {file}, line "),
        ("raises", "it raises ValueError (no such place) in {file}, line "),
        ("ends the program", "it raises SystemExit (3) in {file}, line "),
        ("hangs", "it hangs: step() did not come back in 0.3 s ({file}, line "),
        ("reward of nan", "a reward is nan: each must be a number"),
        ("no reward", "it raises TypeError (float() argument"),
        ("four answers", "it raises ValueError (not enough values to unpack"),
        ("state of nan", "a state with nan in it"),
        ("state of three", "a state (3,) float32, and `state` says 2 numbers")]


def alone(test: str) -> bool:
    """Whether this process is the test's own; else its cases that hang pass in one that is.

    Where pytest's faulthandler is on and other tests of games came before, the alarm that ends a
    hung call ends Python: without faulthandler it never did.
    """
    if os.environ.get("ALONE") == test:
        return True
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", f"{__file__}::{test}", "-k",
             "hangs"]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"ALONE": test})
    assert done.returncode == 0, done.stdout
    return False


def lives(env: Any) -> None:
    """An episode."""
    env.reset(seed=1)
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step(np.array([0.0, 1.0]))
        over = terminated or truncated


@pytest.mark.parametrize(("ill", "words"), [
    *ILLS, ("small", "shows V (20, 20, 3) uint8"), ("floats", "shows V (64, 64, 3) float64")])
def test_what_a_game_does_wrong_is_said_with_its_file(file: Path, ill: str, words: str) -> None:
    if ill == "hangs" and not alone("test_what_a_game_does_wrong_is_said_with_its_file"):
        return
    game = game_named(f"{file}:GAME")
    lives(game.make("fast"))
    lives(game.make_states())
    (file.parent / "ill").write_text(ill)
    game = replace(game, hang_after=0.3 if ill == "hangs" else game.hang_after)
    makes = [lambda: game.make("fast"), *([game.make_states] if (ill, words) in ILLS else [])]
    for make in makes:
        with pytest.raises(UnfitError) as raised:
            lives(make())
        line = str(raised.value)
        assert line.startswith(f"{file}:GAME: ") and "\n" not in line
        assert words.format(file=file) in line
        assert str(pickle.loads(pickle.dumps(raised.value))) == line  # it comes from a worker


def test_only_a_users_own_game_is_guarded() -> None:
    assert not isinstance(game_named("cart_pole").make_states(), Guard)


CONFIG = """
game: {file}:GAME
controller: {{by: BY, inputs: [o]}}
rollouts: {{policies: {{"{file}:player": 2, held: 2}}, max_steps: 12, min_steps: 1}}
evolve: {{generations: 1, population: 4, rollouts: 1, max_steps: 12, evaluate_every: 1,
          evaluate_rollouts: 2, workers: 1, slots: 2, patience: 0}}
learn: {{steps: 30, layers: [4], delay: 8, batch: 4, buffer: 60, evaluate_every: 20,
         evaluate_rollouts: 1}}
evaluate: {{episodes: 2, random_episodes: 1}}
"""


class InThisProcess:
    """Stands for workers, which take seconds to start."""

    workers = 1

    def __init__(self, make_worker: Any, *words: Any):
        self._work = make_worker()

    def map(self, tasks: Any) -> Any:
        return map(self._work, tasks)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *raised: Any) -> None:
        pass


def told(capsys: pytest.CaptureFixture[str], code: int, file: Path) -> str:
    """What a refusal said, which has to be one line that names the file."""
    assert code == 2
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith("worldmodels: ")]
    assert line.startswith(f"worldmodels: {file}") and "Traceback" not in lines
    return line


@pytest.mark.parametrize(("stage", "by", "ill", "more"), [
    ("evolve", "cma_es", "reward of nan", ["evolve.generations=2"]),
    ("evaluate", "cma_es", "hangs", []),
    ("learn", "dqn", "raises", ["learn.steps=60"])])
def test_a_stage_says_it_in_one_line_and_loses_nothing(
        file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch, stage: str, by: str, ill: str, more: list[str]) -> None:
    if ill == "hangs" and not alone("test_a_stage_says_it_in_one_line_and_loses_nothing"):
        return
    monkeypatch.setattr("worldmodels_repro.evolution.players.Pool", InThisProcess)
    monkeypatch.setattr("worldmodels_repro.stages.evaluate.Pool", InThisProcess)
    if ill == "hangs":  # a healthy call may take as long on a busy machine
        file.write_text(file.read_text().replace("hang_after=60.0", "hang_after=2.0"))
    does = partial(carried_out, file, tmp_path, by)
    for run in ("well", "ill"):
        assert does("evolve" if stage == "evaluate" else stage, run) == 0
    (tmp_path / "ill").write_text(ill)
    told(capsys, does(stage, "ill", *more), file)
    (tmp_path / "ill").unlink()
    assert does(stage, "ill", *more) == does(stage, "well", *more) == 0
    assert difference(tmp_path / "run-ill" / stage, tmp_path / "run-well" / stage) is None


def test_episodes_that_were_collected_before_it_raised_are_kept(
        file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    does = partial(carried_out, file, tmp_path, "cma_es", "rollouts")
    (tmp_path / "ill").write_text("raises at -1")
    assert "no such place" in told(capsys, does("ill"), file)
    manifest = tmp_path / "run-ill" / "rollouts" / "manifest.jsonl"
    kept = manifest.read_text()
    assert len(kept.splitlines()) == 2
    (tmp_path / "ill").unlink()
    assert does("ill") == 0
    assert manifest.read_text().startswith(kept)
    assert len(manifest.read_text().splitlines()) == 4


def carried_out(file: Path, tmp_path: Path, by: str, verb: str, run: str, *settings: str) -> int:
    """The exit code of a verb on one of two runs."""
    config = tmp_path / "walk.yaml"
    config.write_text(CONFIG.format(file=file).replace("BY", by))
    words = [word for setting in settings for word in ("--set", setting)]
    return main([verb, "--config", str(config), "--run", str(tmp_path / f"run-{run}"), *words])


def test_what_else_a_users_file_raises_names_it_and_a_bug_does_not(file: Path) -> None:
    play = load(f"{file}:player", "policy", FunctionType)(None, None, None)
    play.reset(0, 1, 0)
    (file.parent / "ill").write_text("policy")
    with pytest.raises(UserError, match=rf"^{file}, line \d+: KeyError \('nothing'\): mend"), (
            blaming()):
        play.act(np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(ZeroDivisionError), blaming():
        raise ZeroDivisionError


def _ends(task: int) -> NoReturn:
    os._exit(7)


def _made(work: Any) -> Any:
    return work


def test_a_game_that_may_end_or_hold_its_process_is_named(monkeypatch: pytest.MonkeyPatch,
                                                          ) -> None:
    monkeypatch.setattr(pool, "_DEATHS", 0)
    monkeypatch.setattr(pool, "_HANGS", 1)
    for work, hang_after, words in ((_ends, 60.0, "died 1 times"),
                                    (time.sleep, 0.5, "no worker has finished a task")):
        with (pytest.raises(UserError, match=words) as raised,
              pool.Pool(partial(_made, work), 1, hang_after, "my_game.py:GAME") as workers):
            list(workers.map([60]))
        assert "look whether my_game.py:GAME does it" in str(raised.value)
