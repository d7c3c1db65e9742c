from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from worldmodels_repro.models.vae.fast_layers import OnePixelConv2DTranspose  # noqa: E402

RNG = np.random.default_rng(0)


def pair(filters: int, size: int | tuple[int, int], channels: int,
         **options: Any) -> tuple[OnePixelConv2DTranspose, Any]:
    """Build the fast layer and Keras's own with the same weights."""
    fast = OnePixelConv2DTranspose(filters, size, 2, **options)
    plain = keras.layers.Conv2DTranspose(filters, size, 2, **options)
    for layer in (fast, plain):
        layer.build((None, 1, 1, channels))
    plain.set_weights([RNG.normal(0, 0.03, w.shape).astype(np.float32) for w in plain.weights])
    fast.set_weights(plain.get_weights())
    return fast, plain


@pytest.mark.parametrize(
    ("filters", "size", "channels", "options"),
    [
        (128, 5, 1024, {"activation": "relu"}),
        (7, 3, 5, {"use_bias": False}),
        (3, (2, 4), 6, {"activation": "sigmoid"}),
    ],
)
def test_agrees_with_keras(filters: int, size: int | tuple[int, int], channels: int,
                           options: dict[str, Any]) -> None:
    fast, plain = pair(filters, size, channels, **options)
    x = RNG.normal(size=(9, 1, 1, channels)).astype(np.float32)
    assert [w.shape for w in fast.weights] == [w.shape for w in plain.weights]
    assert fast.compute_output_shape(x.shape) == plain.compute_output_shape(x.shape)
    expected = keras.ops.convert_to_numpy(plain(x))
    result = keras.ops.convert_to_numpy(fast(x))
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_gradients_agree_with_keras() -> None:
    layers = pair(8, 5, 16, activation="relu")
    x = RNG.normal(size=(9, 1, 1, 16)).astype(np.float32)
    target = RNG.normal(size=(9, 5, 5, 8)).astype(np.float32)
    changes = []
    for layer in layers:
        before = layer.get_weights()
        model = keras.Sequential([keras.Input((1, 1, 16)), layer])
        model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse")
        model.train_on_batch(x, target)
        changes.append([b - a for b, a in zip(before, layer.get_weights(), strict=True)])
    for fast, plain in zip(*changes, strict=True):
        assert np.abs(plain).max() > 1e-4
        np.testing.assert_allclose(fast, plain, rtol=0, atol=1e-5)


def test_saved_layer_comes_back() -> None:
    layer = OnePixelConv2DTranspose(4, 5, 2, activation="relu")
    config = keras.layers.serialize(layer)
    assert isinstance(keras.layers.deserialize(config), OnePixelConv2DTranspose)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "same"},
        {"data_format": "channels_first"},
        {"dilation_rate": 2, "strides": 1},
        {"output_padding": 1},
        {"strides": 6},
    ],
)
def test_other_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needs|knows|exceed"):
        OnePixelConv2DTranspose(4, 5, **({"strides": 2} | options))


def test_larger_map_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        OnePixelConv2DTranspose(4, 5, 2).build((None, 2, 2, 3))
