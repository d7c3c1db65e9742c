"""M fed its own draws in training (memory.adrift)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import command, refused

from worldmodels_repro.storage import load_csv, load_npz

B, T, Z, A, UNITS, MIXTURES = 3, 12, 2, 1, 8, 2


def _model(sure: bool, dtype: str = "float32") -> Any:
    """An M whose draws are, if it is sure, the mean of its first mixture."""
    import keras

    from worldmodels_repro.models.mdn_rnn.mdn_rnn import MDNRNN

    keras.utils.set_random_seed(3)
    model = MDNRNN(Z, A, UNITS, MIXTURES, restart_input=True, done=True, dtype=dtype)
    if sure:
        kernel, bias = model.mixture.get_weights()
        size = Z * MIXTURES
        kernel[:, :size], kernel[:, 2 * size:3 * size] = 0.0, 0.0
        bias[:size] = np.tile([50.0, -50.0], Z)
        bias[2 * size:3 * size] = -20.0
        kernel[:, size:2 * size] *= 3.0
        model.mixture.set_weights([kernel, bias])
    return model


def _inputs(seed: int = 0) -> np.ndarray:
    inputs = np.random.default_rng(seed).normal(size=(B, T, Z + A + 1)).astype(np.float32)
    inputs[:, :, -1] = 0.0
    return inputs


@pytest.mark.parametrize("dropout", [False, True])
def test_what_m_is_fed_is_what_it_drew(dropout: bool) -> None:
    from worldmodels_repro.models.mdn_rnn.adrift import drift

    model, rng = _model(sure=True), np.random.default_rng(1)
    kept = (2.0 * (rng.random((B, Z)) < 0.5).astype(np.float32),
            2.0 * (rng.random((B, UNITS)) < 0.5).astype(np.float32)) if dropout else None
    inputs, starts, last = _inputs(), np.array([0, 4, 9]), np.array([T - 1, 6, T - 1])
    if kept:
        inputs[:, :, :Z] *= kept[0][:, None]
    before = inputs.copy()
    own = drift(model, inputs, starts, last, 5, rng, kept)
    # Row by row: five steps after the first, two to the episode's end, two to the window's.
    steps = np.arange(T)
    expected = (steps > starts[:, None]) & (steps <= np.minimum(starts + 5, last)[:, None])
    np.testing.assert_array_equal(own, expected)
    np.testing.assert_array_equal(inputs[~own], before[~own])
    np.testing.assert_array_equal(inputs[:, :, Z:], before[:, :, Z:])
    # A whole pass over what was written gives, at each step, the mean that was drawn for the next.
    outputs = model(inputs if kept is None else (inputs, kept[1]))
    mu = np.asarray(model.split(outputs)[1])[..., 0]  # (B, T, z)
    fed = mu * (1.0 if kept is None else kept[0][:, None])
    np.testing.assert_allclose(inputs[:, 1:, :Z][own[:, 1:]], fed[:, :-1][own[:, 1:]],
                               rtol=1e-4, atol=1e-5)


def test_draws_are_of_the_mixture_in_bfloat16_too() -> None:
    from worldmodels_repro.models.mdn_rnn.adrift import drift

    model = _model(sure=False, dtype="mixed_bfloat16")
    drawn = []
    for seed in range(200):
        inputs = _inputs()
        drift(model, inputs, np.zeros(B, int), np.full(B, T - 1), 1, np.random.default_rng(seed))
        drawn.append(inputs[:, 1, :Z])
    weights, mu, log_sigma = (np.asarray(part)[:, 0] for part in model.split(model(_inputs()))[:3])
    mean = (np.exp(weights) * mu).sum(-1)  # (B, z)
    spread = np.sqrt((np.exp(weights) * (np.exp(2 * log_sigma) + mu**2)).sum(-1) - mean**2)
    np.testing.assert_allclose(np.mean(drawn, axis=0), mean, atol=4 * spread.max() / 200**0.5)
    np.testing.assert_allclose(np.std(drawn, axis=0), spread, rtol=0.25)


def test_adrift_m_learns_no_next_z_and_stops_where_the_episode_does() -> None:
    from worldmodels_repro.sections import Memory
    from worldmodels_repro.stages.memory import Windows

    settings = Memory(adrift=1.0, adrift_steps=T, done=True, restart_input=True)
    course = Windows(settings, None, None, 5)  # type: ignore[arg-type]
    inputs, model = _inputs(), _model(sure=False)
    before = inputs.copy()
    targets = {"next_valid": np.ones((B, T), np.float32), "valid": np.ones((B, T), np.float32)}
    targets["next_valid"][0, 7] = 0.0  # an episode's last step, and another one behind
    targets["next_valid"][1, :] = targets["valid"][1, :] = 0.0  # nothing there
    own = np.zeros((B, T), bool)
    for step in range(12):
        there = {name: array.copy() for name, array in targets.items()}
        fed = before.copy()
        assert course.prepared(fed, there, model, step) is fed
        moved = (fed != before).any(axis=-1)
        np.testing.assert_array_equal(there["next_valid"] == 0,
                                      moved | (targets["next_valid"] == 0))
        np.testing.assert_array_equal(there["valid"], targets["valid"])
        first, end = (np.flatnonzero(moved[0])[at] if moved[0].any() else None for at in (0, -1))
        assert first is None or (end == 7 if first <= 7 else end == T - 1)
        own |= moved
    assert own[0].any() and own[2, -1] and not own[1].any() and not own[:, 0].any()


def test_the_stage_goes_on_with_it_to_the_bit(tiny_run: Path, tmp_path: Path) -> None:
    """Three steps and three more are six; and it is not what M learns without."""
    drifting = ("--set", "memory.adrift=0.5", "--set", "memory.adrift_steps=8")
    rows, weights = {}, {}
    tries: dict[str, list[tuple[str, ...]]] = {"whole": [drifting], "without": [()], "parts": [
        (*drifting, "--set", f"memory.steps={steps}") for steps in (3, 6)]}
    for name, words in tries.items():
        run = tmp_path / name
        shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("memory", "evolve", "eval*"))
        for more in words:
            assert (result := command("memory", "--run", run, *more)).returncode == 0, result.stderr
        rows[name] = load_csv(run / "memory" / "history.csv")
        weights[name] = load_npz(run / "memory" / "weights.npz")
    assert [row["loss"] for row in rows["whole"]] == [row["loss"] for row in rows["parts"]]
    for key, array in weights["whole"].items():
        np.testing.assert_array_equal(array, weights["parts"][key])
    assert [row["loss"] for row in rows["whole"]] != [row["loss"] for row in rows["without"]]


@pytest.mark.parametrize(("settings", "says"), [
    (["memory.adrift=0.5"], "memory.done=true"),
    (["memory.done=true", "memory.adrift_steps=8"], "memory.adrift=0.25")])
def test_what_means_nothing_is_refused(settings: list[str], says: str, tmp_path: Path) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    assert says in refused(command("memory", "--config", "quick", "--run", tmp_path, *words))
