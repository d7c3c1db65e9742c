"""Muon: steps along the orthogonal part of a kernel's momentum."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from worldmodels_repro.models.optimizers import Muon, optimizer
from worldmodels_repro.sections import Memory, Vae

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("products", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (4, 4, 8, 16)])
def test_the_orthogonal_part_points_as_the_matrix_and_stretches_nothing(
        shape: tuple[int, ...], products: str) -> None:
    """The same singular vectors, all singular values near 1, where they were 100 apart."""
    height, width = int(np.prod(shape[:-1])), shape[-1]
    u, _, vt = np.linalg.svd(RNG.normal(size=(height, width)), full_matrices=False)
    kernel = ((u * np.geomspace(1, 0.01, len(vt))) @ vt).reshape(shape).astype(np.float32)
    found = Muon(0.01, 60, products).zeropower_via_newtonschulz5(kernel, 6)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    rotated = u.T @ keras.ops.convert_to_numpy(found).reshape(height, width) @ vt.T
    stretched = np.diagonal(rotated)
    assert stretched.min() > 0.6
    assert stretched.max() < 1.3
    assert np.abs(rotated - np.diag(stretched)).max() < 0.05


def test_a_matrix_that_is_too_large_goes_by_adamw() -> None:
    muon = Muon(0.01, 20)
    small, large, bias = (keras.Variable(np.zeros(shape, np.float32))
                          for shape in ((20, 40), (21, 21), (9,)))
    assert [muon._should_use_adamw(v) for v in (small, large, bias)] == [False, True, True]


@pytest.mark.parametrize(("settings", "shape", "by_adamw"), [
    (Vae(optimizer="muon"), (5, 5, 64, 512), True),  # the decoder's one pixel, of half of V
    (Vae(optimizer="muon"), (4, 4, 128, 256), False),
    (Memory(optimizer="muon"), (512, 2048), False)])  # Doom's LSTM
def test_only_matrices_worth_it_go_by_muon(settings: Vae | Memory, shape: tuple[int, ...],
                                           by_adamw: bool) -> None:
    assert optimizer(settings)._should_use_adamw(keras.Variable(np.zeros(shape, np.float32))
                                                 ) is by_adamw


def test_products_are_in_what_the_layers_compute_in() -> None:
    settings = Memory(optimizer="muon", learning_rate=0.005)
    half = optimizer(settings.model_copy(update={"precision": "mixed_bfloat16"}), clipvalue=1.0)
    assert (half._products, half.clipvalue) == ("bfloat16", 1.0)
    assert optimizer(settings)._products == "float32"
    assert isinstance(optimizer(Memory()), keras.optimizers.Adam)
