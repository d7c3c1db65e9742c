"""Evolving in a dream, the table of temperatures, and watching: by their real command lines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import command, refused
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.WebPImagePlugin import WebPImageFile

from worldmodels_repro.config import load_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.storage import load_csv, load_json, load_npz
from worldmodels_repro.watch.scene import DreamScene
from worldmodels_repro.watch.window import pressed, show
from worldmodels_repro.worlds.dream import load_dream, load_starts

DREAM = ("--set", "evolve.world=dream", "--set", "evolve.generations=2",
         "--set", "evaluate.episodes=1", "--set", "evaluate.random_episodes=1")


def _fitness(run: Path) -> list[object]:
    return [(row["best"], row["mean"], row["worst"], row["steps"])
            for row in load_csv(run / "evolve" / "generations.csv")]


@pytest.fixture(scope="module")
def dream_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run with a C that never saw the game, without the data it could see it in."""
    run = tmp_path_factory.mktemp("dreams") / "tiny"
    shutil.copytree(tiny_run, run)
    for stage in ("rollouts", "latents", "evolve", "evaluate"):
        shutil.rmtree(run / stage)
    result = command("evolve", "--run", run, *DREAM)
    assert result.returncode == 0, result.stderr
    assert "M's dream at temperature 1" in result.stderr
    return run


def test_c_evolves_in_the_dream_alone(dream_run: Path, tmp_path: Path) -> None:
    agent = load_json(dream_run / "evolve" / "agent.json", dict)
    assert (agent["world"], agent["chosen_in"], agent["temperature"]) == ("dream", "dream", 1.0)
    # Whoever computes, in batches of whatever size: the same numbers.
    other = tmp_path / "other"
    shutil.copytree(dream_run, other)
    shutil.rmtree(other / "evolve")
    result = command("evolve", "--run", other, *DREAM, "--set", "evolve.workers=1", "--set",
                     "evolve.chunk=3", "--set", "evolve.slots=33")
    assert result.returncode == 0, result.stderr
    assert _fitness(other) == _fitness(dream_run)
    np.testing.assert_array_equal(load_npz(other / "evolve" / "agent.npz")["weights"],
                                  load_npz(dream_run / "evolve" / "agent.npz")["weights"])


def test_means_may_be_evaluated_in_the_real_game(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("evolve", "evaluate"))
    result = command("evolve", "--run", run, *DREAM, "--set", "evolve.select=real")
    assert result.returncode == 0, result.stderr
    assert load_json(run / "evolve" / "agent.json", dict)["chosen_in"] == "real"


def test_ms_training_keeps_where_dreams_start(tiny_run: Path, tmp_path: Path) -> None:
    starts = load_starts(tiny_run)
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / "memory" / "starts.npz").unlink()
    again = load_starts(tmp_path / "run")
    assert starts["mu"].shape == (6, 32)
    for name in ("mu", "logvar"):
        np.testing.assert_array_equal(np.sort(starts[name], 0), np.sort(again[name], 0))


def test_ms_heads_are_in_its_weights(tiny_run: Path) -> None:
    weights = load_weights(tiny_run / "memory" / "weights.npz")
    assert weights["mdn/kernel"].shape == (32, 3 * 5 * 32 + 2)
    assert np.abs(weights["mdn/kernel"][:, -2:]).max() > 0
    history = load_csv(tiny_run / "memory" / "history.csv")
    assert {"done_loss", "reward_loss", "val_done_recall"} <= set(history[0])


@pytest.mark.slow
def test_the_table_of_temperatures(dream_run: Path) -> None:
    words = ("evaluate", "--run", dream_run, "--temperatures", "0.5,1")
    result = command(*words)
    assert result.returncode == 0, result.stderr
    assert "temperature 0.5: 2 generations" in result.stderr
    table = load_json(dream_run / "evaluate" / "temperatures.json", dict)
    assert [row["temperature"] for row in table["temperatures"]] == [0.5, 1.0]
    assert table["random"]["episodes"] == 1
    for row in table["temperatures"]:
        inner = dream_run / "temperatures" / "0.5"
        if row["temperature"] == 1.0:  # the run's own: it evolved in just such a dream
            inner = dream_run
        assert load_json(inner / "evolve" / "agent.json", dict)["temperature"] == row["temperature"]
        judged = load_json(inner / "evaluate" / "evaluation.json", dict)
        assert row["real"] == judged["results"]["agent"]
        assert judged["unmodified"]
        assert row["dream"] == judged["dream"]["results"]["agent"]
        assert len(row["dream"]["ci95"]) == 2
        assert "mean_steps" in judged["dream"]["results"]["random"]
    lines = (dream_run / "evaluate" / "temperatures.md").read_text().splitlines()
    assert len(lines) == 2 + 2 + 1
    assert lines[-1].startswith("| random policy |")
    assert not (dream_run / "temperatures" / "1").exists()
    # Done already: nothing is played again.
    files = [*dream_run.rglob("episodes.jsonl"), *dream_run.rglob("generations.csv")]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert command(*words).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in files} == before


@pytest.mark.parametrize(("words", "said"), [
    (["--temperatures", "0.5,hot"], "--help"),
    (["--temperatures", "0"], "0.01 to 10"),
    (["--generations", "3"], "--temperatures"),
    (["--again", "--generations", "3"], "--temperatures"),
    (["--again", "--temperatures", "1"], "--again"),
    (["--temperatures", "1", "--generations", "0"], "1 or more"),
])
def test_wrong_temperatures(tiny_run: Path, words: list[str], said: str) -> None:
    assert said in refused(command("evaluate", "--run", tiny_run, *words))


def test_temperatures_need_something_to_dream_of(tiny_run: Path) -> None:
    heads = ("--set", "memory.done=false", "--set", "memory.reward=false")
    assert "memory.done=true" in refused(command("evaluate", "--run", tiny_run, *heads,
                                                 "--temperatures", "1"))


@pytest.mark.parametrize(("words", "width", "name"), [
    (["--world", "real"], 3 * 192 + 96, "out.gif"),
    (["--world", "dream", "--temperature", "1.15", "--seed", "3"], 200, "out.webp"),
])
def test_without_a_display_a_file_is_written(dream_run: Path, tmp_path: Path, words: list[str],
                                             width: int, name: str) -> None:
    path = tmp_path / name
    result = command("play", "--run", dream_run, *words, "--gif", path, DISPLAY="",
                     WAYLAND_DISPLAY="")
    assert result.returncode == 0, result.stderr
    assert str(path) in result.stdout
    with Image.open(path) as film:
        assert film.format == path.suffix[1:].upper()
        assert isinstance(film, GifImageFile | WebPImageFile)
        assert film.n_frames >= 2  # this M's dreams soon end
        assert film.width > width


def test_the_file_has_a_name_of_its_own(dream_run: Path) -> None:
    result = command("play", "--run", dream_run, "--world", "dream", "--seed", "4", DISPLAY="",
                     WAYLAND_DISPLAY="")
    assert result.returncode == 0, result.stderr
    assert str(dream_run / "play" / "dream-4.webp") in result.stdout
    assert (dream_run / "play" / "dream-4.webp").exists()


@pytest.mark.parametrize(("words", "said"), [
    (["--temperature", "1"], "--world dream"),
    (["--world", "dream", "--temperature", "-1"], "0.01 to 10"),
    (["--world", "moon"], "--help"),
    (["--human"], "no display"),
    (["--human", "--agent"], "--help"),
    (["--seed", "-1"], "2147483647"),
    (["--gif", "film.mp4"], ".webp or .gif"),
])
def test_wrong_words_to_play(dream_run: Path, words: list[str], said: str) -> None:
    assert said in refused(command("play", "--run", dream_run, *words, DISPLAY="",
                                   WAYLAND_DISPLAY=""))


def test_playing_a_run_without_an_agent(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("evolve"))
    assert "no agent" in refused(command("play", "--run", tmp_path / "run", DISPLAY="",
                                         WAYLAND_DISPLAY=""))


def test_keys_act_in_a_window(dream_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In SDL's window that nobody sees: right is held, then Escape leaves."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame

    game = game_named("car_racing")
    config = load_config(dream_run / "config.yaml")
    scene = DreamScene(load_dream(dream_run, config), load_vision(dream_run), None, 1)
    taken: list[np.ndarray] = []
    step = scene.step

    def watched(action: np.ndarray) -> bool:
        taken.append(action)
        if len(taken) == 3:
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE))
        step(action)
        return False

    monkeypatch.setattr(scene, "step", watched)
    pygame.display.init()
    pygame.display.set_mode((10, 10))
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_RIGHT))
    pictures = show(scene, game, True, "you")
    assert pictures[0].shape[2] == 3
    assert len(taken) == 3
    np.testing.assert_array_equal(taken[0], [1.0, 0.0, 0.0])


def test_keys_add_up_within_the_games_ranges() -> None:
    game = game_named("car_racing")
    np.testing.assert_array_equal(pressed(game, set()), [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(pressed(game, {"left", "right", "q"}), [0.0, 0.0, 0.0])
    np.testing.assert_allclose(pressed(game, {"left", "up", "down"}), [-1.0, 1.0, 0.8])


@pytest.mark.slow
def test_the_dream_of_a_run_is_judged_beside_the_game(dream_run: Path) -> None:
    assert command("evaluate", "--run", dream_run).returncode == 0
    result = load_json(dream_run / "evaluate" / "evaluation.json", dict)
    assert result["dream"]["temperature"] == 1.0
    assert len(result["dream"]["episodes"]["random"]) == 1
    shown = command("results", "--run", dream_run).stdout
    assert "M's dream at temperature 1" in shown
    assert json.dumps(result)
