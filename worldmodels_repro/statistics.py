"""Numbers, summed up: scores with a 95 % bootstrap interval of their mean, and batches' losses."""

from __future__ import annotations

from typing import Any

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


class Means:
    """Means over batches of what ``train_on_batch`` and ``test_on_batch`` return.

    Keras forgets what came before at every such call.
    """

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._weight = 0.0

    def add(self, logs: dict[str, Any], weight: float) -> None:
        """One batch's means, each over ``weight`` frames or steps."""
        for name, value in logs.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(weight) * float(value)
        self._weight += float(weight)

    def rounded(self, digits: int, prefix: str = "") -> dict[str, float]:
        """The means so far, by name in alphabetical order."""
        return {prefix + name: round(self._sums[name] / self._weight, digits)
                for name in sorted(self._sums)}


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Mean of the middle half of ``scores`` (..., n): steadier than the mean.

    Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
    """
    ordered = np.sort(scores, axis=-1)
    cut = ordered.shape[-1] // 4
    return ordered[..., cut:ordered.shape[-1] - cut].mean(axis=-1)


def resampled(groups: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """One stratified bootstrap of scores, groups of (n,): groups anew, then each one's scores."""
    return np.concatenate([
        groups[group][rng.integers(0, len(groups[group]), len(groups[group]))]
        for group in rng.integers(0, len(groups), len(groups))])


def improvement(base: np.ndarray, other: np.ndarray) -> float:
    """P(a run of ``other`` (m, t) scores above one of ``base`` (n, t)) on the same task; ties half.

    Agarwal et al. 2021, section 4.3.
    """
    above = other[:, None] - base[None]  # (m, n, t)
    return float(np.mean((above > 0) + 0.5 * (above == 0)))
