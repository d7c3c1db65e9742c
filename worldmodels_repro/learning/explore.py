"""How a learner does other than it thinks best."""

from __future__ import annotations

import numpy as np


def epsilon(first: float, last: float, steps: int, step: int) -> float:
    """The share of random actions at a step: from first to last in a straight line of ``steps``."""
    return first + (last - first) * min(1.0, step / steps)


def chosen(values: np.ndarray, random_share: float, softmax: float | None,
           rng: np.random.Generator) -> int:
    """A choice by values (n,): uniformly random with that share, else the best one, or a draw.

    Args:
        values: of each choice.
        random_share: epsilon.
        softmax: beta of the draw in proportion to exp(beta Q); None takes the best.
        rng: two draws of it are used, whatever comes out.
    """
    gate, draw = rng.random(2)
    if gate < random_share:
        return int(draw * len(values))
    if softmax is None:
        return int(values.argmax())
    return min(int(np.searchsorted(np.cumsum(softmax_shares(values, softmax)), draw, "right")),
               len(values) - 1)


def softmax_shares(values: np.ndarray, beta: float) -> np.ndarray:
    """exp(beta Q) / sum exp(beta Q), (n,) float64: uniform at 0, the best alone at infinity."""
    scaled = beta * (values.astype(np.float64) - values.max())
    shares = np.exp(scaled)
    return np.asarray(shares / shares.sum())


def noisy(action: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """An action (A,) in [-1, 1] with normal noise, clipped to that range."""
    noise = deviation * rng.standard_normal(action.shape)
    return np.clip(action + noise, -1.0, 1.0).astype(np.float32)
