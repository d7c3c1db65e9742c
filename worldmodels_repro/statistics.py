"""Scores, summed up: mean, standard deviation and a 95 % bootstrap interval of the mean."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.records import Summary

RESAMPLES = 10_000


def bootstrap_interval(scores: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``scores`` (n,); fixed draws.

    Raises:
        ValueError: no scores.
    """
    if len(scores) == 0:
        raise ValueError("an interval needs scores")
    rng = np.random.default_rng(0)
    # Resamples in blocks, so that a thousand scores need megabytes, not hundreds of them.
    means = np.concatenate([
        scores[rng.integers(0, len(scores), (RESAMPLES // 10, len(scores)))].mean(axis=1)
        for _ in range(10)
    ])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def summary(scores: list[float]) -> Summary:
    """What a results table says of some episodes: n, mean, std (n - 1), ci95, min, max."""
    values = np.asarray(scores, float)
    low, high = bootstrap_interval(values)
    return {"episodes": len(values), "mean": round(float(values.mean()), 3),
            "std": round(float(values.std(ddof=1)) if len(values) > 1 else 0.0, 3),
            "ci95": [round(low, 3), round(high, 3)],
            "min": round(float(values.min()), 3), "max": round(float(values.max()), 3)}
