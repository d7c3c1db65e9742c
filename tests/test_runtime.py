import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.contracts import Precision
from worldmodels_repro.models.runtime import Affine
from worldmodels_repro.models.vae.programs import Decoder, Encoder, largest_inputs
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.storage import Arrays

ROOT = Path(__file__).parents[1]
Z = 32


def make_weights(seed: int = 0) -> Arrays:
    """Draw weights whose activations neither vanish nor grow, so latents have order one."""
    rng = np.random.default_rng(seed)
    weights: Arrays = {}

    def layer(name: str, shape: tuple[int, ...], fan_in: int, filters: int) -> None:
        scale = np.sqrt(2 / fan_in)
        weights[f"{name}/kernel"] = rng.normal(0, scale, shape).astype(np.float32)
        weights[f"{name}/bias"] = rng.normal(0, 0.05, filters).astype(np.float32)

    channels = 3
    for i, filters in enumerate((32, 64, 128, 256), start=1):
        layer(f"encoder/conv{i}", (4, 4, channels, filters), 16 * channels, filters)
        channels = filters
    layer("encoder/mu", (1024, Z), 1024, Z)
    layer("encoder/logvar", (1024, Z), 8192, Z)
    layer("decoder/dense", (Z, 1024), Z, 1024)
    channels = 1024
    for i, (filters, size) in enumerate(((128, 5), (64, 5), (32, 6), (3, 6)), start=1):
        fan_in = channels if i == 1 else channels * size * size // 4
        layer(f"decoder/deconv{i}", (size, size, filters, channels), fan_in, filters)
        channels = filters
    weights["encoder/ranges"] = np.array([1.0, 3.0, 4.0, 4.0, 4.0], np.float32)
    return weights


def make_frames(count: int, seed: int = 0) -> np.ndarray:
    """Draw frames like a car's view from above: checkered grass, a grey road, kerbs, a car."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:64, 0:64]
    frames = np.empty((count, 64, 64, 3), np.uint8)
    for frame in frames:
        frame[:] = (102, 204, 102)
        frame[(x // 9 + y // 9 + rng.integers(2)) % 2 == 0] = (102, 229, 102)
        bend, offset = rng.uniform(-0.02, 0.02), rng.uniform(20, 44)
        distance = np.abs(x - offset - bend * (64 - y) ** 2)
        frame[distance < 9] = (255, 0, 0) if rng.random() < 0.3 else (255, 255, 255)
        frame[distance < 8] = rng.integers(100, 108)
        frame[46:54, 30:34] = (204, 0, 0)
    return frames


@pytest.fixture(scope="module")
def weights() -> Arrays:
    return make_weights()


def keras_encoder(weights: Arrays) -> Any:
    keras = pytest.importorskip("keras")
    image = keras.Input((64, 64, 3))
    h = image
    layers = {}
    for i, filters in enumerate((32, 64, 128, 256), start=1):
        layers[f"conv{i}"] = keras.layers.Conv2D(filters, 4, 2, activation="relu")
        h = layers[f"conv{i}"](h)
    h = keras.layers.Flatten()(h)
    layers |= {head: keras.layers.Dense(Z) for head in ("mu", "logvar")}
    model = keras.Model(image, [layers["mu"](h), layers["logvar"](h)])
    for name, layer in layers.items():
        layer.set_weights([weights[f"encoder/{name}/{part}"] for part in ("kernel", "bias")])
    return model


def keras_decoder(weights: Arrays) -> Any:
    keras = pytest.importorskip("keras")
    latent = keras.Input((Z,))
    layers = {"dense": keras.layers.Dense(1024)}
    h = keras.layers.Reshape((1, 1, 1024))(layers["dense"](latent))
    for i, (filters, size) in enumerate(((128, 5), (64, 5), (32, 6), (3, 6)), start=1):
        activation = "relu" if i < 4 else "sigmoid"
        layer = keras.layers.Conv2DTranspose(filters, size, 2, activation=activation)
        layers[f"deconv{i}"] = layer
        h = layer(h)
    model = keras.Model(latent, h)
    for name, layer in layers.items():
        layer.set_weights([weights[f"decoder/{name}/{part}"] for part in ("kernel", "bias")])
    return model


def encode(encoder: Encoder, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mu, logvar = encoder.encode(frames)
    return mu.copy(), logvar.copy()


def test_f32_agrees_with_keras(weights: Arrays) -> None:
    frames = make_frames(24)
    expected_mu, expected_logvar = keras_encoder(weights)(frames.astype(np.float32) / 255)
    mu, logvar = encode(Encoder(weights, 24), frames)
    assert np.std(mu) > 0.3
    np.testing.assert_allclose(mu, expected_mu, rtol=0, atol=1e-4)
    np.testing.assert_allclose(logvar, expected_logvar, rtol=0, atol=1e-4)


def test_bf16_error_is_small_beside_sigma(weights: Arrays) -> None:
    frames = make_frames(64)
    mu, logvar = encode(Encoder(weights, 64), frames)
    rough_mu, rough_logvar = encode(Encoder(weights, 64, "bf16"), frames)
    error = (rough_mu - mu) / np.exp(logvar / 2)
    assert np.sqrt(np.mean(error**2)) < 0.02
    assert np.abs(error).max() < 0.1
    assert np.abs(rough_logvar - logvar).max() < 0.1


def test_ranges_are_the_largest_inputs_of_each_layer(weights: Arrays) -> None:
    frames = make_frames(24)
    model = keras_encoder(weights)
    h, expected = frames.astype(np.float32) / 255, [frames.max() / 255]
    for layer in model.layers[1:5]:
        h = layer(h)
        expected.append(np.max(h))
    np.testing.assert_allclose(largest_inputs(weights, frames), expected, rtol=1e-4)


def test_int8_error_is_small_beside_sigma() -> None:
    weights = load_weights(ROOT / "logs" / "carracing" / "vae" / "weights.npz")
    env = game_named("car_racing").make("fast")
    drive = np.random.default_rng(0)
    frames = [env.reset(seed=3)[0]] + [
        env.step(np.array([drive.uniform(-1, 1), 0.3, 0.0], np.float32))[0] for _ in range(127)]
    seen = np.stack(frames)
    weights["encoder/ranges"] = largest_inputs(weights, seen[::2])
    mu, logvar = encode(Encoder(weights, 128), seen)
    rough_mu, rough_logvar = encode(Encoder(weights, 128, "int8"), seen)
    error = (rough_mu - mu) / np.exp(logvar / 2)
    assert 0.005 < np.sqrt(np.mean(error**2)) < 0.1
    assert np.abs(rough_logvar - logvar).max() < 0.2


def test_int8_without_ranges_is_refused(weights: Arrays) -> None:
    with pytest.raises(ValueError, match="encoder/ranges"):
        Encoder({name: array for name, array in weights.items() if "ranges" not in name}, 4, "int8")


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
@pytest.mark.parametrize("batch", [5, 16, 17])
def test_result_depends_on_neither_place_nor_neighbours(weights: Arrays, precision: Precision,
                                                          batch: int) -> None:
    encoder = Encoder(weights, batch, precision)
    frames = make_frames(3 * batch)
    rng = np.random.default_rng(1)
    seen: dict[int, bytes] = {}
    for place in range(batch):
        order = rng.permutation(len(frames))[:batch]
        order[place] = 0
        mu, logvar = encoder.encode(frames[order])
        for row, frame in enumerate(order):
            bits = mu[row].tobytes() + logvar[row].tobytes()
            assert seen.setdefault(int(frame), bits) == bits


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_another_process_gives_the_same_bits_without_the_training_stack(
        weights: Arrays, precision: Precision) -> None:
    frames = make_frames(8)
    mu, logvar = encode(Encoder(weights, 8, precision), frames)
    here = hashlib.sha256(mu.tobytes() + logvar.tobytes()).hexdigest()
    code = (
        "import hashlib, sys\n"
        f"sys.path[:0] = {sys.path!r}\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"  # noqa: PTH120
        "from test_runtime import Encoder, make_frames, make_weights\n"
        f"mu, logvar = Encoder(make_weights(), 8, {precision!r}).encode(make_frames(8))\n"
        "print(hashlib.sha256(mu.tobytes() + logvar.tobytes()).hexdigest())\n"
        "names = ('tensorflow', 'keras', 'openvino_telemetry', 'openvino.tools.ovc')\n"
        "print([name for name in names if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [here, "[]"]


def test_own_buffer_is_taken_without_copy(weights: Arrays) -> None:
    encoder = Encoder(weights, 4)
    frames = make_frames(4)
    expected, _ = encode(encoder, frames)
    encoder.frames[:] = 0
    encoder.encode(encoder.frames)
    encoder.frames[:] = frames
    mu, _ = encoder.encode(encoder.frames)
    np.testing.assert_array_equal(mu, expected)


def test_strided_frames_are_read_right(weights: Arrays) -> None:
    encoder = Encoder(weights, 4)
    frames = make_frames(8)
    expected, _ = encode(encoder, frames[::2].copy())
    np.testing.assert_array_equal(encoder.encode(frames[::2])[0], expected)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((3, 64, 64, 3), np.uint8),
        np.zeros((4, 3, 64, 64), np.uint8),
        np.zeros((4, 64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.uint8),
    ],
)
def test_other_frames_are_refused(weights: Arrays, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(4, 64, 64, 3\)"):
        Encoder(weights, 4).encode(frames)


def test_other_weights_are_refused(weights: Arrays) -> None:
    with pytest.raises(ValueError, match="lack 'encoder/conv2/bias'"):
        Encoder({k: v for k, v in weights.items() if k != "encoder/conv2/bias"}, 1)
    with pytest.raises(ValueError, match="encoder/conv1/kernel"):
        Encoder(weights | {"encoder/conv1/kernel": np.zeros((32, 3, 4, 4), np.float32)}, 1)
    with pytest.raises(ValueError, match="encoder/logvar/kernel"):
        Encoder(weights | {"encoder/logvar/kernel": np.zeros((1024, 31), np.float32)}, 1)
    with pytest.raises(ValueError, match=r"\(1024, z\)"):
        Encoder(weights | {"encoder/mu/kernel": np.zeros((32, 1024), np.float32)}, 1)
    with pytest.raises(ValueError, match="decoder/deconv4/kernel"):
        Decoder(weights | {"decoder/deconv4/kernel": np.zeros((6, 6, 32, 3), np.float32)}, 1)


@pytest.mark.parametrize(
    "options", [{"batch": 0}, {"batch": 1, "threads": 0}, {"batch": 1, "precision": "f16"}]
)
def test_options_out_of_range_are_refused(weights: Arrays, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Encoder(weights, **options)


def test_decoder_agrees_with_keras(weights: Arrays) -> None:
    z = np.random.default_rng(2).normal(size=(6, Z)).astype(np.float32)
    expected = np.asarray(keras_decoder(weights)(z)) * 255
    assert np.std(expected) > 10
    frames = Decoder(weights, 6).decode(z)
    assert frames.shape == (6, 64, 64, 3)
    assert frames.dtype == np.uint8
    assert np.abs(frames - expected).max() <= 0.51
    rough = Decoder(weights, 6, "bf16").decode(z)
    assert np.abs(rough - expected).mean() < 1.0


def test_decoder_refuses_other_latents(weights: Arrays) -> None:
    with pytest.raises(ValueError, match=r"expected \(6, 32\)"):
        Decoder(weights, 6).decode(np.zeros((6, 31), np.float32))


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_affine_rows_do_not_depend_on_the_batch(precision: Precision) -> None:
    rng = np.random.default_rng(3)
    kernel = rng.standard_normal((64, 96)).astype(np.float32)
    bias = rng.standard_normal(96).astype(np.float32)
    rows = rng.standard_normal((130, 64)).astype(np.float32)
    exact = rows.astype(np.float64) @ kernel + bias
    seen: np.ndarray | None = None
    for batch in (Affine.FEWEST, 5, 16, 33, 130):
        x, y = np.zeros((batch, 64), np.float32), np.zeros((batch, 96), np.float32)
        product = Affine(kernel, bias, x, y, precision)
        for place in (0, batch - 1):
            x[:] = rows[rng.permutation(130)[:batch]]
            x[place] = rows[0]
            product.run()
            seen = y[place].copy() if seen is None else seen
            np.testing.assert_array_equal(y[place], seen)
    assert seen is not None
    np.testing.assert_allclose(seen, exact[0], atol=1e-4 if precision == "f32" else 0.2)


def test_affine_refuses_what_does_not_fit() -> None:
    def affine(rows: int = 4, inputs: int = 8, outputs: int = 3,
               kernel: tuple[int, int] = (8, 3), kind: type[np.floating] = np.float32) -> None:
        Affine(np.zeros(kernel, np.float32), np.zeros(outputs, np.float32),
               np.zeros((rows, inputs), kind), np.zeros((rows, outputs), np.float32))

    affine()
    mistakes: list[dict[str, Any]] = [{"inputs": 7}, {"kernel": (8, 4)}, {"kind": np.float64},
                                      {"rows": 0}]
    for wrong in mistakes:
        with pytest.raises(ValueError, match=r"do not fit|float32|at least 1"):
            affine(**wrong)
