"""What V and M are computed in, here and on CPUs that have no bfloat16."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

from worldmodels_repro.config import load_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.models import runtime
from worldmodels_repro.models.vae.vision import Vision
from worldmodels_repro.storage import load_npz
from worldmodels_repro.training import keras as training
from worldmodels_repro.worlds.agent import load_body


@pytest.mark.parametrize(("can", "trains_in"), [(["FP32", "BF16"], "mixed_bfloat16"),
                                                (["FP32", "INT8"], "float32")])
def test_a_cpu_without_bfloat16_trains_in_float32(monkeypatch: pytest.MonkeyPatch,
                                                  can: list[str], trains_in: str) -> None:
    monkeypatch.setattr(runtime, "cpu_capabilities", lambda: can)
    monkeypatch.setattr(training, "gpus", list)
    assert training.usable_precision("mixed_bfloat16") == trains_in
    assert training.usable_precision("float32") == "float32"
    monkeypatch.setattr(training, "gpus", lambda: ["GPU:0"])
    assert training.usable_precision("mixed_bfloat16") == "mixed_bfloat16"


@pytest.mark.parametrize(("can", "precision"), [(["FP32", "BF16", "INT8"], "bf16"),
                                                (["FP32", "INT8"], "int8")])
def test_fast_is_what_the_cpu_has(monkeypatch: pytest.MonkeyPatch, tiny_run: Path, can: list[str],
                                  precision: str) -> None:
    monkeypatch.setattr(runtime, "cpu_capabilities", lambda: can)
    body = load_body(tiny_run, load_config(TINY, ["evolve.precision=fast"]))
    assert body.precision == precision
    assert isinstance(body.vision, Vision)
    assert ("encoder/ranges" in body.vision.weights) == (precision == "int8")


def test_v_s_ranges_for_int8_are_measured_once(tiny_run: Path, tmp_path: Path) -> None:
    run, config = tmp_path / "run", load_config(TINY, ["evolve.precision=int8"])
    shutil.copytree(tiny_run, run)
    there = load_body(run, config).vision
    assert isinstance(there, Vision)
    np.testing.assert_array_equal(there.weights["encoder/ranges"],
                                  load_npz(run / "vae" / "ranges.npz", ("ranges",))["ranges"])
    assert there.encoder(4, "int8").encode(np.zeros((4, 64, 64, 3), np.uint8))[0].shape == (4, 32)
    # A V of before there were any: on its run's rollouts, then kept.
    (run / "vae" / "ranges.npz").unlink()
    found = load_body(run, config).vision
    assert isinstance(found, Vision)
    np.testing.assert_allclose(found.weights["encoder/ranges"], there.weights["encoder/ranges"],
                               rtol=0.5)
    shutil.rmtree(run / "rollouts")
    load_body(run, config)
    (run / "vae" / "ranges.npz").unlink()
    with pytest.raises(UserError, match=r"evolve\.precision=f32"):
        load_body(run, config)
