"""Dreams as hard as the game for who sees nothing: ``evolve.dropout=null``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, command, refused

from worldmodels_repro.config import Config, load_config
from worldmodels_repro.evolution import masks
from worldmodels_repro.records import ManifestLine
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_json_lines, save_json_lines
from worldmodels_repro.worlds.dream import load_dream, masks_file
from worldmodels_repro.worlds.episodes import Played

DREAMING = ["--set", "memory.dropout=0.1", "--set", "evolve.world=dream", "--set",
            "evolve.dropout=null"]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A run whose M has learnt to do without a part of itself, and no C yet."""
    path = tmp_path / "run"
    for stage in ("rollouts", "vae", "latents"):
        shutil.copytree(tiny_run / stage, path / stage)
    result = command("memory", "--config", TINY, "--run", path, *DREAMING)
    assert result.returncode == 0, result.stderr
    return path


def _config(path: Path) -> Config:
    return load_config(path / "config.yaml")


def test_the_share_is_where_dreams_bring_what_the_game_brought(
        run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = load_json_lines(run / "rollouts" / "manifest.jsonl", ManifestLine)
    steps = np.full(masks.DREAMS, 100)

    def play_as_if(world: Any, *rest: object) -> Played:  # returns fall with the share
        return Played(np.full(masks.DREAMS, 80.0 * np.exp(-20.0 * world["dropout"])), steps)

    monkeypatch.setattr(masks, "DreamWorld", lambda dream, slots: {"dropout": dream.dropout})
    monkeypatch.setattr(masks, "play", play_as_if)
    for returned, expected in ((40.0, np.log(2) / 20), (90.0, 0.0)):
        save_json_lines(run / "rollouts" / "manifest.jsonl", [
            {**line, "return": returned if line["policy"] in ("held", "brownian") else 5.0}
            for line in lines])
        masks_file(run).unlink(missing_ok=True)
        masks_file(run).parent.mkdir(exist_ok=True)
        masks.fit_masks(Run(run, _config(run)))
        found = load_dream(run, _config(run)).dropout
        assert found == pytest.approx(expected, abs=masks.MOST / 2 ** masks.HALVINGS)
    again = masks_file(run).read_text()
    monkeypatch.setattr(masks, "play", None)
    masks.fit_masks(Run(run, _config(run)))  # it is found once
    assert masks_file(run).read_text() == again


def test_c_evolves_in_such_dreams_and_every_verb_dreams_them(run: Path) -> None:
    before = refused(command("truth", "--run", run, "--only", "scores"))
    assert "worldmodels evolve --run" in before
    result = command("evolve", "--run", run)
    assert result.returncode == 0, result.stderr
    assert "(in the game" in result.stderr + result.stdout
    assert 0 <= load_dream(run, _config(run)).dropout <= masks.MOST


def test_without_random_episodes_a_share_is_asked_for(run: Path) -> None:
    manifest = run / "rollouts" / "manifest.jsonl"
    save_json_lines(manifest, [line for line in load_json_lines(manifest, ManifestLine)
                               if line["policy"] == "network"])
    assert "evolve.dropout=0.1" in refused(command("evolve", "--run", run))
