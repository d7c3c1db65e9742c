"""What a pixel of each class weighs, so that rare classes are learnt as well as common ones."""

from __future__ import annotations

from typing import Literal

import numpy as np

Balance = Literal["none", "inverse", "median", "map"]


def class_weights(counts: np.ndarray, balance: Balance, squared: bool = False) -> np.ndarray:
    """Weights of K classes, (M, K) float32: a row for each map.

    Args:
        counts: (M, K) pixels of each class in each map.
        balance: ``none``: 1 each; ``inverse``: n_0 / n_k, relative to class 0; ``median``: the
            median frequency over a class's own (Eigen and Fergus 2015, section 6.3.2), a frequency
            being a class's share of the pixels of those maps that hold it; ``map``: a weight map,
            inverse within each map, where all classes then weigh alike.
        squared: the weights' squares.

    Returns:
        The same row for all maps but for ``map``; 0 for a class that is nowhere.
    """
    whole = counts.sum(axis=0)  # (K,)
    if balance == "none":
        weights = np.ones(counts.shape)
    elif balance == "map":
        weights = _over(np.full((len(counts), 1), counts.sum(axis=1, keepdims=True).mean()), counts)
    elif balance == "inverse":
        weights = _over(whole[:1], whole)
    else:
        held = np.where(counts > 0, counts.sum(axis=1, keepdims=True), 0).sum(axis=0)
        frequencies = _over(whole, held)
        weights = _over(np.median(frequencies[whole > 0]), frequencies)
    weights = np.broadcast_to(weights, counts.shape)
    return np.asarray(weights**2 if squared else weights, np.float32)


def _over(above: np.ndarray | float, below: np.ndarray) -> np.ndarray:
    """A quotient; 0 where there is nothing below."""
    return np.divide(above, below, out=np.zeros(below.shape), where=below > 0)
