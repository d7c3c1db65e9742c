"""World Models in one file: it runs through, and its NumPy parts are what Keras trained."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FILE = Path(__file__).parents[1] / "examples" / "one_file.py"


@pytest.fixture(scope="module")
def one_file() -> Any:
    spec = spec_from_file_location("one_file", FILE)
    assert spec is not None and spec.loader is not None
    module = sys.modules["one_file"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_short_and_uses_the_game_alone() -> None:
    text = FILE.read_text()
    assert len(text.splitlines()) <= 400
    modules = {name for node in ast.walk(ast.parse(text)) for name in (
        [alias.name for alias in node.names] if isinstance(node, ast.Import)
        else [node.module] if isinstance(node, ast.ImportFrom) else [])}
    assert not {name for name in modules if name and name.startswith("worldmodels_repro")}
    assert re.findall(r"worldmodels_repro[\w:/.-]*", text) == [
        "worldmodels_repro:worldmodels/CarRacingFast-v0"]


def test_all_of_it_runs_and_every_part_is_kept(tmp_path: Path) -> None:
    words = [sys.executable, str(FILE), "--tiny", "--workers", "1", "--folder", str(tmp_path)]
    first = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert first.returncode == 0, first.stderr
    score = re.search(r"tracks that were never driven: (\S+)", first.stdout)
    assert score is not None
    assert -150 < float(score[1]) < 100
    assert {file.name for file in tmp_path.iterdir()} == {"vae.npz", "memory.npz", "driver.npz"}


def test_the_crop_is_the_mean_over_areas(one_file: Any) -> None:
    from worldmodels_repro.envs.car_racing import crop_and_resize

    frame = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    off = np.abs(one_file.crop(frame).astype(int) - crop_and_resize(frame))
    assert off.max() <= 1  # one is rounded, the other cut


def test_v_and_m_in_numpy_are_what_keras_trained(one_file: Any) -> None:
    import keras

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (9, 64, 64, 3), np.uint8)
    _, encoder = one_file.make_vae()
    np.testing.assert_allclose(one_file.encode(encoder.get_weights(), frames),
                               np.asarray(encoder(frames)), atol=1e-4)
    inputs = rng.standard_normal((2, 5, one_file.Z + one_file.A)).astype(np.float32)
    memory = one_file.make_memory()
    h = c = np.zeros((2, one_file.H), np.float32)
    for z, a in ((row[:, :one_file.Z], row[:, one_file.Z:]) for row in inputs.swapaxes(0, 1)):
        h, c = one_file.remember(memory.layers[1].get_weights(), z, a, h, c)
    expected = keras.Model(memory.inputs, memory.layers[1].output)(inputs)[:, -1]
    np.testing.assert_allclose(h, np.asarray(expected), atol=1e-5)


def test_ms_loss_is_the_mixtures_likelihood(one_file: Any) -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    k, z_size = one_file.K, one_file.Z
    outputs = rng.standard_normal((2, 3, 3 * k * z_size)).astype(np.float32)
    z = rng.standard_normal((2, 3, z_size)).astype(np.float32)
    parts = outputs.reshape(2, 3, z_size, 3 * k)
    pi = np.exp(parts[..., :k])
    pi /= pi.sum(axis=-1, keepdims=True)
    density = (pi * norm.pdf(z[..., None], parts[..., k:2 * k],
                             np.exp(parts[..., 2 * k:]))).sum(axis=-1)
    loss = one_file.make_memory().loss(z, outputs)
    assert float(loss) == pytest.approx(-np.log(density).mean(), abs=1e-4)


def test_c_acts_as_the_paper_has_it(one_file: Any) -> None:
    rng = np.random.default_rng(0)
    c = rng.standard_normal((2, one_file.PARAMETERS)).astype(np.float32)
    z, h = rng.standard_normal((2, 32)), rng.standard_normal((2, 256))
    for row, action in enumerate(one_file.act(c, z, h)):
        weights = c[row].reshape(3, 289)
        steer, gas, brake = np.tanh(weights[:, :288] @ np.r_[z[row], h[row]] + weights[:, 288])
        np.testing.assert_allclose(action, [steer, (gas + 1) / 2, max(brake, 0)], rtol=1e-5)
