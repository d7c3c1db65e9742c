"""Strategies that climb: the gradient of the mean fitness of a Gaussian's draws, by its draws.

Both draw in pairs, mean + d and mean - d, and go by ranks, so no scale of fitness matters. The mean
moves by Adam (Kingma & Ba 2015).
"""

from __future__ import annotations

import json

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.storage import Arrays

BETAS = 0.9, 0.999  # Adam's
TINY = 1e-8
WIDTH_RATE = 0.5  # PGPE: how fast its widths move


class OpenEs:
    """OpenAI's strategy (Salimans et al. 2017): one width for all weights, which stays.

    A :class:`~worldmodels_repro.evolution.strategies.Strategy`.

    Args:
        start: (n,) the first mean.
        sigma: the first width.
        population: candidates a generation, an even number.
        seed: of every draw.
        rate: Adam's.
    """

    def __init__(self, start: np.ndarray, sigma: float, population: int, seed: int, rate: float):
        self._rng = np.random.default_rng(seed)
        self._population, self._rate = population, rate
        self.mean = np.array(start, float)
        self._widths = np.full(self.mean.shape, float(sigma))
        self._first, self._second = np.zeros_like(self.mean), np.zeros_like(self.mean)
        self._generation = 0

    @property
    def sigma(self) -> float:
        """The mean width."""
        return float(self._widths.mean())

    def shrink(self, share: float) -> None:
        """Widths are multiplied by this."""
        self._widths *= share

    def ask(self, times: int = 1) -> np.ndarray:
        """(times x population, n) candidates; the second half mirrors the first about the mean."""
        drawn = self._rng.standard_normal((times * self._population // 2, len(self.mean)))
        away = drawn * self._widths
        return np.concatenate([self.mean + away, self.mean - away])

    def tell(self, candidates: np.ndarray, fitness: np.ndarray) -> None:
        """Fitness (population,) of the candidates (population, n) that were asked for.

        Raises:
            ValueError: all of them failed (their fitness is not finite).
        """
        if not np.isfinite(fitness).any():
            raise ValueError("every candidate of the generation failed")
        ranks = np.argsort(np.argsort(np.where(np.isfinite(fitness), fitness, -np.inf)))
        shaped = ranks / (len(ranks) - 1) - 0.5  # (population,), of mean 0
        drawn = (candidates - self.mean) / self._widths  # (population, n)
        self._climb(shaped @ drawn / (len(drawn) * self._widths))
        self._widen(shaped, drawn)

    def _climb(self, gradient: np.ndarray) -> None:
        """One step of Adam up the gradient (n,) of the mean."""
        self._generation += 1
        moments = []
        for moment, beta, value in zip((self._first, self._second), BETAS,
                                       (gradient, gradient**2), strict=True):
            moment *= beta
            moment += (1 - beta) * value
            moments.append(moment / (1 - beta**self._generation))
        self.mean += self._rate * moments[0] / (np.sqrt(moments[1]) + TINY)

    def _widen(self, shaped: np.ndarray, drawn: np.ndarray) -> None:
        """What ranks (population,) of draws (population, n) of a standard normal tell of widths."""

    def state(self) -> Arrays:
        """All that it goes on from, random state included."""
        random = json.dumps(self._rng.bit_generator.state).encode()
        return {"mean": self.mean, "widths": self._widths, "first": self._first,
                "second": self._second, "generation": np.array(self._generation),
                "random": np.frombuffer(random, np.uint8)}

    def restore(self, state: Arrays, source: str) -> None:
        """Undo :meth:`state` on a strategy made with the same arguments.

        Raises:
            UserError: the state does not fit.
        """
        try:
            random = json.loads(state["random"].tobytes().decode())
            vectors = [np.array(state[name], float)
                       for name in ("mean", "widths", "first", "second")]
            if any(vector.shape != self.mean.shape for vector in vectors):
                raise ValueError(f"its mean has shape {vectors[0].shape}, not {self.mean.shape}")
            generation = int(state["generation"])
            self._rng.bit_generator.state = random
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{source} is not the state of this run's strategy ({error}): remove "
                            "the evolve folder to start again") from None
        self.mean, self._widths, self._first, self._second = vectors
        self._generation = generation


class Pgpe(OpenEs):
    """Policy gradients with parameter-based exploration (Sehnke et al. 2010, symmetric sampling).

    As :class:`OpenEs`, but each weight has a width of its own, which grows where far draws do well.
    """

    def _widen(self, shaped: np.ndarray, drawn: np.ndarray) -> None:
        """The logarithms of the widths climb the same fitness."""
        self._widths *= np.exp(WIDTH_RATE * (shaped @ (drawn**2 - 1.0)) / len(drawn))  # (n,)
