"""Doom: its settings, its installation, the game itself, and every stage on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, SupportsFloat

import cv2
import gymnasium
import numpy as np
import pytest
from conftest import command, picture, refused

from worldmodels_repro.config import load_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.envs.take_cover import (
    LEFT,
    MAX_TICS,
    RIGHT,
    STAY,
    crop_and_resize,
    step_of,
)
from worldmodels_repro.records import Judgement
from worldmodels_repro.storage import load_json, load_json_lines

ROOT = Path(__file__).parents[1]
TINY = Path(__file__).parent / "tiny_doom.yaml"
DOOM = game_named("take_cover")
needs_vizdoom = pytest.mark.skipif(find_spec("vizdoom") is None,
                                   reason="vizdoom is not installed (pip install -e '.[doom]')")


# --- a world that it does not know ---

@needs_vizdoom
def test_letters_hover_over_the_same_game() -> None:
    seen = {}
    for name in ("take_cover", "take_cover+text"):
        env = game_named(name).make("original")
        frames = [env.reset(seed=5)[0]]
        rewards = []
        for step in range(40):
            frame, reward, *_ = env.step(np.array([np.sin(step / 5)], np.float32))
            frames.append(frame)
            rewards.append(reward)
        env.close()
        seen[name] = np.stack(frames).astype(int), rewards
    (known, scored), (changed, also) = seen.values()
    assert scored == also
    differ = (known != changed).any(axis=3).any(axis=0)  # (64, 64)
    assert 0.02 < differ.mean() < 0.3 and not differ[40:].any()


# --- settings and installation ---

def test_the_papers_doom_has_the_papers_sizes() -> None:
    result = command("info", "--config", ROOT / "configs/paper/doom.yaml")
    assert json.loads(result.stdout)["parameters"] == {"V": 4446915, "M": 1678785, "C": 1088}
    paper, ours = (load_config(ROOT / name) for name in ("configs/paper/doom.yaml",
                                                         "configs/doom.yaml"))
    for section, keys in {"vae": ["z"], "controller": ["inputs", "hidden", "bias"],
                          "memory": ["units", "mixtures", "restart_input", "done"],
                          "rollouts": ["max_steps", "min_steps"]}.items():
        for key in keys:
            assert getattr(getattr(paper, section), key) == getattr(getattr(ours, section), key)


def test_thirds_of_cs_one_number_are_left_stay_and_right() -> None:
    assert DOOM.squash is not None
    outputs = DOOM.squash(np.array([[-1.0], [-0.34], [-0.33], [0.0], [0.33], [0.34], [1.0]]))
    assert outputs.dtype == np.float32
    assert outputs.shape == (7, 1)
    assert [step_of(row) for row in outputs] == [LEFT, LEFT, STAY, STAY, STAY, RIGHT, RIGHT]


def test_an_action_as_the_game_takes_it_is_the_button_it_presses() -> None:
    third = np.float32(1 / 3)
    grid = np.concatenate([np.linspace(-1, 1, 41), [third, np.nextafter(third, np.float32(1)),
                                                    -third, np.nextafter(-third, np.float32(-1))]])
    actions = grid.astype(np.float32)[:, None]
    taken = DOOM.taken(actions)
    assert taken.dtype == np.float32
    assert [{-1: LEFT, 0: STAY, 1: RIGHT}[int(value)] for value in taken[:, 0]] == [
        step_of(row) for row in actions]


@pytest.mark.parametrize(("words", "said"), [
    (["rollouts"], "WORLDMODELS_EXTRAS=doom bash scripts/setup.sh"),
    (["evolve"], "WORLDMODELS_EXTRAS=doom bash scripts/setup.sh"),
    (["evolve", "--set", "evolve.world=dream"], "type worldmodels memory"),  # no game
])
def test_without_vizdoom_one_line_says_what_to_type(tmp_path: Path, words: list[str],
                                                    said: str) -> None:
    program = ("import sys\n"
               "sys.modules['vizdoom'] = None\n"
               "from worldmodels_repro import cli\n"
               "sys.exit(cli.main(sys.argv[1:]))\n")
    result = subprocess.run([sys.executable, "-c", program, *words, "--config", TINY, "--run",
                             tmp_path / "run"], capture_output=True, text=True)
    assert said in refused(result)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("words", "extra"), [
    (["configs/doom.yaml"], ".[all,doom]"), (["own.yaml"], ".[all,doom]"),
    (["configs/quick.yaml"], ".[all]"), ([], ".[all]"),
    (["configs/quick.yaml", "--set", "game=take_cover"], ".[all,doom]"),
])
def test_setup_installs_what_the_config_needs(tmp_path: Path, words: list[str],
                                              extra: str) -> None:
    for name in ("scripts", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "setup.py", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "own.yaml").write_text("base: configs/doom.yaml\nseed: 2\n")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "worldmodels"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $@" >>"{tmp_path}/calls"\n')
        (programs / name).chmod(0o755)
    subprocess.run(["bash", tmp_path / "scripts" / "01_rollouts.sh", *words], check=True,
                   capture_output=True, cwd=tmp_path)
    pip, stage = (tmp_path / "calls").read_text().splitlines()
    assert pip.endswith(f"--editable {extra}")
    assert stage.startswith("worldmodels rollouts --config")


# --- the game itself ---

def _play(env: gymnasium.Env[Any, Any], seed: int) -> tuple[
        list[np.ndarray], list[tuple[SupportsFloat, bool, bool]]]:
    """An episode of held random actions: its frames, and its outcomes."""
    rng = np.random.default_rng(seed)
    frame, _ = env.reset(seed=seed)
    frames, over = [frame], False
    outcomes: list[tuple[SupportsFloat, bool, bool]] = []
    while not over and len(outcomes) < 400:
        if len(outcomes) % 5 == 0:
            action = rng.uniform(-1.0, 1.0, 1).astype(np.float32)
        frame, reward, terminated, truncated, _ = env.step(action)
        frames.append(frame)
        outcomes.append((reward, terminated, truncated))
        over = terminated or truncated
    return frames, outcomes


@needs_vizdoom
def test_the_fast_game_is_the_judges_bit_by_bit_also_when_used() -> None:
    judge, fast = DOOM.make("original"), DOOM.make("fast")
    for env in (judge, fast):
        assert env.spec is not None
        assert env.spec.max_episode_steps == DOOM.max_steps == MAX_TICS == 2100
        assert "Autoreset" not in str(env)
    first = [_play(judge, seed) for seed in (3, 4)]
    again = [_play(env, seed) for env, seed in ((fast, 4), (fast, 3), (judge, 3), (judge, 4))]
    for (frames, outcomes), place in zip(again, (1, 0, 0, 1), strict=True):
        assert outcomes == first[place][1]
        np.testing.assert_array_equal(frames, first[place][0])
        assert all(reward == 1.0 for reward, _, _ in outcomes)
        assert outcomes[-1][1]
        assert min(int(frame.max()) for frame in frames) > 0  # mistake 9
    judge.close()
    fast.close()


@needs_vizdoom
def test_the_judge_is_as_the_paper_played_it() -> None:
    """Mistake 10: skill 4, RGB. Walls are brown and fire is yellow; in BGR both are blue."""
    env = DOOM.make("original", "rgb_array")
    game = env.get_wrapper_attr("game")
    assert game.get_doom_skill() == 4
    assert game.get_screen_format().name == "RGB24"
    assert env.spec is not None
    assert env.spec.id == "VizdoomTakeCover-v1"
    frames, _ = _play(env, 3)
    screen = picture(env)
    assert screen.shape == (240, 320, 3)
    red, _, blue = np.array(frames[0][28:42], float).mean(axis=(0, 1))
    assert red > blue + 20
    # Upright: in the first tic the far wall stands in the middle; at its foot the floor is dark,
    # and both ceiling and floor are grey.
    grey = np.abs(frames[0][[2, 60]].astype(int) - frames[0][[2, 60], :, :1]).max()
    assert grey < 12
    np.testing.assert_array_equal(crop_and_resize(screen), frames[-1])
    env.close()


@needs_vizdoom
def test_frames_are_means_over_areas_of_rows_0_to_199() -> None:
    env = DOOM.make("original", "rgb_array")
    errors = []
    env.reset(seed=1)
    for t in range(120):
        screen = picture(env)
        exact = cv2.resize(screen[:200], (64, 64), interpolation=cv2.INTER_AREA)
        errors.append(np.abs(crop_and_resize(screen).astype(int) - exact).mean())
        below = screen.copy()
        below[200:] = 0
        np.testing.assert_array_equal(crop_and_resize(below), crop_and_resize(screen))
        env.step(np.array([1.0 if t < 60 else -1.0], np.float32))
    assert max(errors) < 0.6
    env.close()


PLAYER = """
import os, sys
from worldmodels_repro.envs.registry import game_named
env = game_named("take_cover").make("fast")
env.reset(seed=1)
print(os.getpid(), flush=True)
while True:
    if env.step([1.0])[2]:
        env.reset()
"""


@needs_vizdoom
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_player_that_is_killed_leaves_no_engine_and_no_file(tmp_path: Path,
                                                              end: signal.Signals) -> None:
    memory = Path("/dev/shm")
    before = {path.name for path in memory.glob("ViZDoom*")}
    player = subprocess.Popen([sys.executable, "-c", PLAYER], cwd=tmp_path, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert player.stdout is not None
    number = int(player.stdout.readline())
    (engine,) = _children(number)
    assert "vizdoom" in Path(f"/proc/{engine}/cmdline").read_text()
    player.send_signal(end)
    player.wait(timeout=20)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{engine}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{engine}").exists()
    assert not list(tmp_path.iterdir())
    assert not {path.name for path in memory.glob("ViZDoom*")} - before


def _children(number: int) -> list[int]:
    tasks = Path(f"/proc/{number}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@needs_vizdoom
def test_every_stage_runs_on_doom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, here = tmp_path / "run", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for verb in ("rollouts", "vae", "latents", "memory", "evolve", "evaluate"):
        result = command(verb, "--config", TINY, "--run", run)
        assert result.returncode == 0, f"{verb}: {result.stderr}"
    assert not list(here.iterdir())
    lines = load_json_lines(run / "rollouts" / "manifest.jsonl", dict)
    assert {line["environment"] for line in lines} == {"VizdoomTakeCover-v1"}
    facts = load_json(run / "memory" / "stage.json", dict)["facts"]
    assert {"best_val_loss", "best_val_done_recall", "best_val_done_precision"} <= set(facts)
    judged = load_json(run / "evaluate" / "evaluation.json", Judgement)
    assert (judged["environment"], judged["solved"]) == ("VizdoomTakeCover-v1", 750.0)
    for player in ("agent", "random"):
        assert all(row["score"] == row["steps"] <= 2100 for row in judged["episodes"][player])
