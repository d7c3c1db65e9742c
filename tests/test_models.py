"""V and M in Keras: sizes, saving, and the workers' fast versions of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import pytest
import tensorflow as tf

from worldmodels_repro.config import Config
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.mdn_rnn.cell import Recurrence
from worldmodels_repro.models.mdn_rnn.lstm import hidden_states
from worldmodels_repro.models.mdn_rnn.mdn_rnn import MDNRNN, compiled_mdn_rnn
from worldmodels_repro.models.vae.programs import Encoder
from worldmodels_repro.models.vae.vae import VAE, compiled_vae
from worldmodels_repro.models.weights import load_weights, save_weights, set_weights, weights_of
from worldmodels_repro.sections import Memory, Vae
from worldmodels_repro.storage import save_npz
from worldmodels_repro.training.keras import resume_training, save_training


def test_parameter_counts_of_the_paper() -> None:
    assert VAE(z=32).count_params() == 4_348_547
    assert VAE(z=64).count_params() == 4_446_915
    assert MDNRNN(z=32, actions=3).count_params() == 422_368
    doom = MDNRNN(z=64, actions=1, units=512, restart_input=True, done=True)
    assert doom.count_params() == 1_678_785


def test_workers_encoder_agrees_with_keras() -> None:
    vae = compiled_vae(Vae(), seed=1)
    frames = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    expected = vae.encode(frames)
    found = Encoder(weights_of(vae), batch=8).encode(frames)
    for ours, keras_s in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, np.asarray(keras_s), atol=1e-4)


@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-5), ("mixed_bfloat16", 0.02)])
def test_training_follows_keras_lstm_and_its_gradient(precision: str, close: float) -> None:
    """h, and how a loss of it moves inputs, kernels and bias, are those of Keras's own layer."""
    keras.utils.set_random_seed(4)
    lstm = keras.layers.LSTM(24, return_sequences=True, dtype=precision)
    lstm.build((None, None, 5))
    rng = np.random.default_rng(4)
    lstm.set_weights([weight + 0.3 * rng.standard_normal(weight.shape)
                      for weight in lstm.get_weights()])
    x, of_h = (tf.constant(rng.standard_normal((3, 30, size)).astype(np.float32))
               for size in (5, 24))
    found = []
    for hidden in (lstm, partial(hidden_states, lstm)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            h = hidden(x)
            assert keras.backend.standardize_dtype(h.dtype) == lstm.compute_dtype
            loss = tf.reduce_sum(tf.cast(h, tf.float32) * of_h)
        found.append([tf.cast(h, tf.float32),
                      *tape.gradient(loss, [x, *lstm.trainable_variables])])
    for expected, ours in zip(*found, strict=True):
        largest = np.abs(expected).max()
        assert largest > 0.1
        np.testing.assert_allclose(ours, expected, rtol=0, atol=close * largest)


def test_workers_recurrence_agrees_with_keras() -> None:
    rng = np.random.default_rng(1)
    memory = compiled_mdn_rnn(Memory(), z=32, actions=3, seed=2)
    weights = {name: (array + 0.1 * rng.standard_normal(array.shape)).astype(np.float32)
               for name, array in weights_of(memory).items()}
    set_weights(memory, weights)
    inputs = rng.standard_normal((5, 40, 35)).astype(np.float32)
    expected = np.asarray(memory.lstm(inputs)[0])  # (5, 40, 256)
    recurrence = Recurrence(weights, batch=5)
    for t in range(40):
        recurrence.step(inputs[:, t, :32], inputs[:, t, 32:])
        np.testing.assert_allclose(recurrence.h, expected[:, t], atol=1e-4)


def test_recurrence_of_one_episode_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(2)
    weights = weights_of(compiled_mdn_rnn(Memory(), z=32, actions=3, seed=3))
    inputs = rng.standard_normal((16, 35)).astype(np.float32)
    one, other = Recurrence(weights, batch=16), Recurrence(weights, batch=16)
    for _ in range(5):
        one.step(inputs)
        other.step(inputs[::-1])
    np.testing.assert_array_equal(one.h, other.h[::-1])


def test_recurrence_refuses_inputs_of_another_size() -> None:
    recurrence = Recurrence(weights_of(compiled_mdn_rnn(Memory(), 32, 3, 0)), batch=1)
    with pytest.raises(ValueError, match="35 inputs"):
        recurrence.step(np.zeros((1, 32), np.float32))


def test_saved_weights_give_the_same_output(tmp_path: Path) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (2, 64, 64, 3), np.uint8)
    one, other = compiled_vae(Vae(), seed=4), compiled_vae(Vae(), seed=5)
    before = np.asarray(one.encode(frames)[0])
    save_weights(tmp_path / "weights.npz", one)
    for vae in (one, other):
        set_weights(vae, load_weights(tmp_path / "weights.npz"))
    after = np.asarray(one.encode(frames)[0])
    np.testing.assert_array_equal(after, np.asarray(other.encode(frames)[0]))
    # Files are in half precision: the one difference there may be, and small.
    assert 0 < np.abs(after - before).max() < 2e-3 * np.abs(before).max()
    assert (tmp_path / "weights.npz").stat().st_size < 9e6


def test_weights_of_another_size_are_refused() -> None:
    with pytest.raises(UserError, match="encoder/mu"):
        set_weights(VAE(z=64), weights_of(VAE(z=32)))


def _frames_and_noise(rng: np.random.Generator) -> tuple[Any, ...]:
    return ((rng.integers(0, 256, (8, 64, 64, 3), np.uint8),
             rng.standard_normal((8, 32)).astype(np.float32)),)


def _actions_that_z_follows(rng: np.random.Generator) -> tuple[Any, ...]:
    """16 windows in which z_{t+1} = a_t, as M takes them."""
    actions = rng.choice([-1.0, 1.0], (16, 20, 2)).astype(np.float32)
    latents = np.concatenate([np.zeros((16, 1, 2), np.float32), actions], axis=1)
    ones = np.ones((16, 20), np.float32)
    return (np.concatenate([latents[:, :-1], actions], axis=2),
            {"z": latents[:, 1:], "valid": ones, "next_valid": ones})


def _memory(optimizer: Literal["adam", "muon"], seed: int) -> MDNRNN:
    return compiled_mdn_rnn(Memory(units=32, optimizer=optimizer, learning_rate=0.01), 2, 2, seed)


@pytest.mark.parametrize(("compiled", "batch"), [
    (lambda seed: compiled_vae(Vae(), seed), _frames_and_noise),
    (lambda seed: compiled_vae(Vae(optimizer="muon"), seed), _frames_and_noise),
    (partial(_memory, "muon"), _actions_that_z_follows)], ids=["V", "V with Muon", "M with Muon"])
def test_training_resumes_number_for_number(
        tmp_path: Path, compiled: Callable[[int], Any],
        batch: Callable[[np.random.Generator], tuple[Any, ...]]) -> None:
    rng = np.random.default_rng(7)
    batches = [batch(rng) for _ in range(4)]
    whole = compiled(8)
    for one in batches[:2]:
        whole.train_on_batch(*one)
    save_training(tmp_path / "training.npz", whole, 2)
    resumed = compiled(9)
    assert resume_training(tmp_path / "training.npz", resumed) == 2
    for one in batches[2:]:
        whole.train_on_batch(*one)
        resumed.train_on_batch(*one)
    for name, array in weights_of(whole).items():
        np.testing.assert_array_equal(array, weights_of(resumed)[name], err_msg=name)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_memory_learns_a_simple_rule(optimizer: Literal["adam", "muon"]) -> None:
    """z_{t+1} = a_t is learnt: the NLL falls far below that of a standard normal (1.42)."""
    rng = np.random.default_rng(0)
    memory = _memory(optimizer, 0)
    for _ in range(150):
        loss = memory.train_on_batch(*_actions_that_z_follows(rng), return_dict=True)["nll"]
        memory.reset_metrics()
    assert float(loss) < -0.5


def test_an_untrained_m_expects_no_ending() -> None:
    memory = compiled_mdn_rnn(Memory(units=16, done=True, reward=True), z=2, actions=1, seed=0)
    inputs = np.random.default_rng(0).standard_normal((4, 9, 3)).astype(np.float32)
    done = np.asarray(memory.split(memory(inputs))[3])
    assert done.max() < -2.0


def test_rewards_are_learnt_up_to_the_clip() -> None:
    memory = compiled_mdn_rnn(Memory(units=16, reward=True, reward_clip=3.0), 2, 1, seed=0)
    ones = np.ones((1, 4), np.float32)
    inputs = np.ones((1, 4, 3), np.float32)
    targets = {"z": np.zeros((1, 4, 2), np.float32), "valid": ones, "next_valid": ones}
    losses = [float(memory.compute_loss(inputs, targets | {"reward": reward * ones},
                                        memory(inputs))) for reward in (-3.0, -100.0, -2.0)]
    assert losses[0] == pytest.approx(losses[1])
    assert losses[2] != pytest.approx(losses[0])


def test_masked_steps_do_not_count() -> None:
    memory = compiled_mdn_rnn(Memory(units=16, done=True, reward=True), z=2, actions=1, seed=0)
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((2, 6, 3)).astype(np.float32)
    targets = {"z": rng.standard_normal((2, 6, 2)).astype(np.float32),
               "done": np.zeros((2, 6), np.float32), "reward": np.zeros((2, 6), np.float32),
               "valid": np.repeat([[1, 1, 1, 1, 0, 0]], 2, 0).astype(np.float32),
               "next_valid": np.repeat([[1, 1, 1, 0, 0, 0]], 2, 0).astype(np.float32)}
    loss = float(memory.compute_loss(inputs, targets, memory(inputs)))
    targets["z"][:, 3:] = 99.0
    targets["done"][:, 4:] = 1.0
    targets["reward"][:, 4:] = 99.0
    inputs[:, 4:] = 5.0
    assert float(memory.compute_loss(inputs, targets, memory(inputs))) == pytest.approx(loss)


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_training_step_runs_on_jax() -> None:
    program = (
        "import numpy as np\n"
        "from worldmodels_repro.sections import Memory, Vae\n"
        "from worldmodels_repro.models.mdn_rnn.mdn_rnn import compiled_mdn_rnn\n"
        "from worldmodels_repro.models.vae.vae import compiled_vae\n"
        "frames, noise = np.zeros((4, 64, 64, 3), np.uint8), np.zeros((4, 32), np.float32)\n"
        "print(compiled_vae(Vae(), 0).train_on_batch((frames, noise), return_dict=True))\n"
        "ones = np.ones((2, 5), np.float32)\n"
        "print(compiled_mdn_rnn(Memory(units=8), 32, 3, 0).train_on_batch("
        "np.zeros((2, 5, 35), np.float32), {'z': np.zeros((2, 5, 32), np.float32), "
        "'valid': ones, 'next_valid': ones}, return_dict=True))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                            env=os.environ | {"KERAS_BACKEND": "jax"})
    assert result.returncode == 0, result.stderr


def test_defaults_are_the_papers() -> None:
    config = Config()
    assert (config.vae.z, config.vae.batch, config.vae.learning_rate) == (32, 100, 1e-4)
    assert (config.evolve.population, config.evolve.rollouts, config.evolve.sigma) == (64, 16, 0.1)


@pytest.mark.parametrize(("there", "here"), [((), (3, 9)), ((3, 9), ()), ((3, 9), (3, 9))])
def test_an_m_starts_from_one_with_or_without_foresight(tmp_path: Path, there: tuple[int, ...],
                                                        here: tuple[int, ...]) -> None:
    from worldmodels_repro.training.loop import start_from

    earlier, later = (compiled_mdn_rnn(Memory(units=8, done=True, foresight=horizons), 4, 1, seed)
                      for seed, horizons in ((1, there), (2, here)))
    fresh = weights_of(later)
    (tmp_path / "memory").mkdir()
    save_weights(tmp_path / "memory" / "weights.npz", earlier)
    start_from(later, "memory", str(tmp_path))
    given, kept = weights_of(later), load_weights(tmp_path / "memory" / "weights.npz")
    assert given.keys() == fresh.keys()
    for name, array in given.items():
        np.testing.assert_array_equal(array, kept[name] if name in kept else fresh[name])


def test_a_v_without_its_decoder_is_nothing_to_start_from(tmp_path: Path) -> None:
    from worldmodels_repro.training.loop import start_from

    vae = compiled_vae(Vae(), 1)
    (tmp_path / "vae").mkdir()
    save_npz(tmp_path / "vae" / "weights.npz", {
        name: array for name, array in weights_of(vae).items() if not name.startswith("decoder")})
    with pytest.raises(UserError, match="kept without V's decoder"):
        start_from(vae, "vae", str(tmp_path))
