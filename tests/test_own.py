"""A user's own game, V and policy, from a file outside the package, through every stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import command, refused

from worldmodels_repro.errors import UserError
from worldmodels_repro.models.vae.layers import Conv, Layers
from worldmodels_repro.models.vae.programs import Decoder, Encoder
from worldmodels_repro.storage import load_json, load_json_lines, load_npz

OWN = Path(__file__).parent / "own.py"
CONFIG = f"""
game: {OWN}:GAME
trackers: ["{OWN}:Notes"]
rollouts: {{policies: {{"{OWN}:leaning": 4, held: 2}}, max_steps: 60}}
vae: {{layers: "{OWN}:SHALLOW", z: 5, epochs: 1, mirror: true, batch: 16, validation: 0.2}}
memory: {{steps: 4, batch: 4, sequence: 20, units: 16, mirror: true, validate_every: 2,
         validation: 0.2, done: true, reward: true}}
evolve: {{generations: 2, population: 4, rollouts: 1, max_steps: 40, evaluate_every: 2,
          evaluate_rollouts: 2, slots: 2, workers: 1, world: dream, select: real}}
evaluate: {{episodes: 2, random_episodes: 2}}
"""


def test_every_stage_runs_on_what_a_user_brings(tmp_path: Path) -> None:
    config, run = tmp_path / "own.yaml", tmp_path / "run"
    config.write_text(CONFIG)
    for verb in ("rollouts", "vae", "latents", "memory", "evolve", "evaluate", "figures"):
        done = command(verb, "--config", config, "--run", run)
        assert done.returncode == 0, f"{verb}: {done.stderr}"
    lines = load_json_lines(run / "rollouts" / "manifest.jsonl", dict)
    assert sorted({line["episode"].split("-")[0] for line in lines}) == ["held", "leaning"]
    assert load_npz(run / "vae" / "weights.npz")["encoder/conv2/kernel"].shape == (5, 5, 8, 16)
    assert load_npz(run / "latents" / "leaning-000000.npz")["mu"].shape[1] == 5
    assert load_npz(run / "latents" / "leaning-000000.npz").keys() == {  # GAME has no mirror image
        "mu", "logvar", "actions", "rewards", "terminated", "truncated"}
    judged = load_json(next(run.glob("evaluat*/evaluation.json")), dict)
    assert judged["environment"] == "own/Dot-v0"
    assert 0 < judged["results"]["random"]["mean"] <= 60
    told = [line.split()[:3] for line in (run / "notes.txt").read_text().splitlines()]
    assert told == [["GAME", "vae", "1"], ["GAME", "memory", "2"], ["GAME", "memory", "4"],
                    ["GAME", "evolve", "1"], ["GAME", "evolve", "2"]]
    films = command("play", "--run", run, "--world", "dream", "--gif", tmp_path / "dream.gif")
    assert films.returncode == 0, films.stderr
    page = command("report", "--run", run)
    assert page.returncode == 0, page.stderr
    assert 'class="missing"' not in (run / "report" / "index.html").read_text()


def test_workers_see_with_another_v_what_keras_sees() -> None:
    from worldmodels_repro.models.vae.vae import compiled_vae
    from worldmodels_repro.models.weights import weights_of
    from worldmodels_repro.sections import Vae

    layers = Layers(encoder=(Conv(8, 6, 4), Conv(16, 5, 5)), dense=32,
                    decoder=(Conv(16, 8, 4), Conv(3, 8, 8)))
    vae = compiled_vae(Vae(z=5), 1, layers)
    assert {name: array.shape for name, array in weights_of(vae).items()} == layers.shapes(5)
    frames = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    found = Encoder(weights_of(vae), 4, layers=layers).encode(frames)
    for ours, keras_s in zip(found, vae.encode(frames), strict=True):
        np.testing.assert_allclose(ours, np.asarray(keras_s), atol=1e-4)
    z = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    pictures = Decoder(weights_of(vae), 4, layers=layers).decode(z)
    np.testing.assert_allclose(pictures, np.asarray(vae.decode(z)) * 255, atol=0.51)


@pytest.mark.parametrize(("sizes", "words"), [
    ({"decoder": (Conv(16, 8, 4), Conv(3, 8, 7))}, r"\(57, 57, 3\)"),
    ({"encoder": (Conv(8, 60), Conv(8, 60))}, "leaves nothing"),
    ({"encoder": ()}, "one layer or more"),
    ({"decoder": (Conv(16, 3, 4), Conv(3, 22, 21))}, "stride"),
])
def test_a_v_whose_sizes_do_not_fit_is_refused(sizes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Layers(**sizes)


@pytest.mark.parametrize(("text", "name", "words"), [
    ("GAME = 1", "GAME", "is of type int, no game"),
    ("", "GAME", "has no GAME"),
    ("1 / 0", "GAME", "line 1: ZeroDivisionError (division by zero)"),
    ("from worldmodels_repro.envs.game import Game\nGAME = Game(name='x')", "GAME", "judge_id"),
])
def test_a_game_file_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, name: str,
                                                         words: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    line = refused(command("rollouts", "--config", "configs/quick.yaml", "--run", tmp_path / "run",
                           "--set", f"game={file}:{name}"))
    assert words in line
    assert str(file) in line
    missing = tmp_path / "other.py"
    line = refused(command("rollouts", "--config", "configs/quick.yaml", "--run", tmp_path / "run",
                           "--set", f"game={missing}:{name}"))
    assert f"no file {missing}" in line
