"""A run that is handed on: all that decides a score, to the bit, and nothing of this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from worldmodels_repro.cli import main
from worldmodels_repro.config import load_config
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.storage import save_npz

DOOM = Path(__file__).parents[1] / "logs" / "doom"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A run as training leaves it: of ``logs/doom``, with what stages go on from."""
    run = shutil.copytree(DOOM, tmp_path / "whole")
    for left in ("rollouts/held-000000.npz", "latents/held-000000.npz", "memory/training.npz",
                 "evolve/strategy.npz", "vae/reconstructions/epoch-001.png",
                 "run.log"):
        (run / left).parent.mkdir(exist_ok=True)
        (run / left).write_bytes(b"large")
    return run


def _export(run: Path, out: Path) -> int:
    return main(["export", "--run", str(run), "--format", "run", "--out", str(out)])


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_what_can_be_made_again_is_left_out(whole: Path, tmp_path: Path) -> None:
    assert _export(whole, tmp_path / "out") == 0
    there, committed = _contents(tmp_path / "out"), _contents(DOOM)
    assert there.keys() == committed.keys()
    # Settings that came later stand in the config, with their defaults.
    changed = {name for name in there if there[name] != committed[name]}
    assert changed <= {"vae/weights.npz", "config.yaml"}
    assert load_config(tmp_path / "out" / "config.yaml") == load_config(DOOM / "config.yaml")


def test_v_decides_as_before_and_draws_nearly_so(whole: Path, tmp_path: Path) -> None:
    weights, rng = load_weights(DOOM / "vae" / "weights.npz"), np.random.default_rng(0)
    weights = {name: rng.normal(size=array.shape).astype(np.float16)
               for name, array in weights.items()}
    save_npz(whole / "vae" / "weights.npz", weights)
    assert _export(whole, tmp_path / "out") == 0
    handed = load_weights(tmp_path / "out" / "vae" / "weights.npz")
    for name, array in weights.items():
        exact = 2.0**-6 if name.startswith("decoder/") else 0.0
        np.testing.assert_allclose(handed[name], array.astype(np.float32), rtol=exact, atol=0)
    packed = [(folder / "vae" / "weights.npz").stat().st_size for folder in
              (whole, tmp_path / "out")]
    assert packed[1] < 0.85 * packed[0]


def test_no_path_and_no_repetition_is_handed_on(whole: Path, tmp_path: Path) -> None:
    marker = whole / "vae" / "stage.json"
    facts = json.loads(marker.read_text())
    facts["settings"]["vae.start"] = "/somebody/runs/first"
    facts["settings"]["rollouts.agent"] = ["/somebody/runs/first", "logs/other"]
    marker.write_text(json.dumps(facts))
    config = whole / "config.yaml"
    config.write_text("vae: {start: /somebody/runs/first}\n")
    manifest = whole / "rollouts" / "manifest.jsonl"
    alike = {"environment": "VizdoomTakeCover-v1", "versions": {"python": "3.11.7"}}
    manifest.write_text("".join(
        json.dumps(json.loads(line) | alike | {"renderer": renderer}) + "\n"
        for line, renderer in zip(manifest.read_text().splitlines()[:2], ("fast", "recorded"),
                                  strict=True)))
    assert _export(whole, tmp_path / "out") == 0
    out = tmp_path / "out"
    assert not any(b"/somebody" in data for data in _contents(out).values())
    settings = json.loads((out / "vae" / "stage.json").read_text())["settings"]
    assert settings["vae.start"] == "logs/first"
    assert settings["rollouts.agent"] == ["logs/first", "logs/other"]
    lines = [json.loads(line) for line in (out / "rollouts" / "manifest.jsonl").open()]
    assert [line["renderer"] for line in lines] == ["fast", "recorded"]
    assert not any(key in line for line in lines for key in alike)


@pytest.mark.parametrize(("without", "said"), [
    (("evolve", "evaluate"), "no agent to hand on"), ((), "is not done: finish it first")])
def test_half_a_run_is_refused(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                               without: tuple[str, ...], said: str) -> None:
    for stage in without:
        shutil.rmtree(whole / stage)
    if not without:
        marker = whole / "evaluate" / "stage.json"
        marker.write_text(marker.read_text().replace('"state": "done"', '"state": "running"'))
    assert _export(whole, tmp_path / "out") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
