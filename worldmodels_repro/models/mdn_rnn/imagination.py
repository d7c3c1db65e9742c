"""M on its own: each step's latent is drawn from M's mixture and fed back (sections 2.3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from worldmodels_repro.models.mdn_rnn.cell import Cell
from worldmodels_repro.models.mdn_rnn.head import Head
from worldmodels_repro.models.runtime import Affine, Precision
from worldmodels_repro.storage import Arrays


class Imagination:
    """B dreams in lockstep, a row each; drawing as in :func:`mixture.sample_mixture`.

    Temperature tau divides the mixtures' logits and scales the noise by sqrt(tau) (not by tau);
    every latent dimension picks a mixture of its own.

    Args:
        weights: M's, by name: ``lstm/*`` and ``mdn/*``, columns as :class:`Head` has them.
        head: what those columns are.
        restart_input: whether M's input ends with 'this step is an episode's first'.
        batch: B.
        temperature: tau > 0.
        precision: arithmetic of the matrix products; everything else is float32.
        dropout: each dream does without this share of z's dimensions in what M is fed, and of h's
            in what the mixture sees, the same ones from its first step to its last.
        spread: each dream has a temperature of its own, tau times a number that is uniform from
            1 - ``spread`` to 1 + ``spread``.

    Attributes:
        z: (B, z) what comes next, and C sees.
        state: ``h`` and ``c``, (B, units) each.
        done: (B,) the logits of 'the episode ends with this step', of the last step taken; None
            without that head.
        reward: (B,) the last step's rewards; None without that head.

    Raises:
        ValueError: a temperature that is not positive.
    """

    def __init__(self, weights: Arrays, head: Head, restart_input: bool, batch: int,
                 temperature: float = 1.0, precision: Precision = "f32", dropout: float = 0.0,
                 spread: float = 0.0):
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, not {temperature}")
        self._mixtures, self._restart = head.mixtures, restart_input
        K, z = head.mixtures, head.z
        rows = max(batch, Affine.FEWEST)
        sizes = {max(-(-rows // part), Affine.FEWEST) for part in (1, 2, 4, 8)}
        self._cell = Cell(weights, batch, precision, sizes)
        self.state = {"h": self._cell.h, "c": self._cell.c}
        self._fed, self._dropout = self._cell.inputs[:, :z], dropout
        # Nothing left out: what comes next is what M is fed, and what the mixture sees is h.
        self.z, self._seen = self._fed, self._cell.h
        if dropout:
            self.z, self._seen = np.zeros_like(self._fed), np.zeros_like(self._cell.h)
            self._kept = {"z": np.zeros_like(self.z), "h": np.zeros_like(self._seen)}
        self._outputs = np.zeros((rows, head.outputs), np.float32)
        self.done, self.reward = (None if column is None else self._outputs[:, column]
                                  for column in (head.done_at, head.reward_at))
        self._spread = np.float32(spread)
        self._hotter = np.ones(rows, np.float32)  # each dream's temperature over tau
        mixture = _mixture(weights, z, K, temperature)
        self._programs = {n: Affine(*mixture, self._seen[:n], self._outputs[:n], precision)
                          for n in sorted(sizes)}
        # Scratch, so that a step allocates next to nothing.
        self._cumulated = np.empty((rows, K, z), np.float32)
        self._level = np.empty((rows, 1, z), np.float32)
        self._passed = np.empty((rows, K, z), bool)
        self._drawn = np.empty((2, rows, z), np.float32)  # the mean and sigma of those picked
        # Where in the flat outputs the first mixture's mean of each latent stands.
        self._first = (np.arange(rows)[:, None] * head.outputs + K * z
                       + np.arange(z)).astype(np.intp)

    def wake(self, row: int, z: np.ndarray, rng: np.random.Generator) -> None:
        """An episode begins in this row: z_0 is ``z`` (z,), h_0 = c_0 = 0; ``rng`` draws its M."""
        self._cell.reset(row)
        self.z[row] = z
        if self._dropout:
            for part in self._kept.values():
                part[row] = kept(rng, self._dropout, part[row].shape)
        if self._spread:
            self._hotter[row] = 1 + self._spread * (2 * rng.random(dtype=np.float32) - 1)
        if self._restart:
            self._cell.inputs[row, -1] = 1.0

    def resume(self, row: int, z: np.ndarray, state: Mapping[str, np.ndarray]) -> None:
        """The dream in this row goes on from z (z,) and h, c (units,): no episode begins there."""
        self._cell.put(row, state["h"], state["c"])
        self.z[row] = z
        if self._restart:
            self._cell.inputs[row, -1] = 0.0

    def move(self, source: int, target: int) -> None:
        """The dream of one row goes on in another."""
        self._cell.move(source, target)
        self._hotter[target] = self._hotter[source]
        if self._dropout:
            for array in (self.z, *self._kept.values()):
                array[target] = array[source]

    def step(self, actions: np.ndarray, uniforms: np.ndarray, normals: np.ndarray) -> None:
        """Advance the first n rows: z, h, c and the heads' outputs.

        Args:
            actions: (n, A).
            uniforms: (n, z) in [0, 1): they pick each latent's mixture.
            normals: (n, z) standard normal.
        """
        n, Z = normals.shape
        self._cell.inputs[:n, Z:Z + actions.shape[1]] = actions
        if self._dropout:
            np.multiply(self.z[:n], self._kept["z"][:n], out=self._fed[:n])
        self._cell.step(n)
        if self._dropout:
            np.multiply(self._cell.h[:n], self._kept["h"][:n], out=self._seen[:n])
        next(program for size, program in self._programs.items() if size >= n).run()
        self._draw(n, uniforms, normals)
        if self._restart:
            self._cell.inputs[:n, -1] = 0.0

    def _draw(self, n: int, uniforms: np.ndarray, normals: np.ndarray) -> None:
        """z_{t+1} from the mixtures, by the inverse of each one's cumulated weights."""
        K, Z = self._mixtures, normals.shape[1]
        outputs = self._outputs[:n]
        logits = outputs[:, :K * Z].reshape(n, K, Z)
        cumulated, level, passed = self._cumulated[:n], self._level[:n], self._passed[:n]
        np.max(logits, axis=1, keepdims=True, out=level)
        np.subtract(logits, level, out=cumulated)
        if self._spread:
            cumulated /= self._hotter[:n, None, None]
        np.exp(cumulated, out=cumulated)
        for k in range(1, K):
            cumulated[:, k] += cumulated[:, k - 1]
        np.multiply(cumulated[:, -1], uniforms, out=level[:, 0])
        np.less_equal(cumulated, level, out=passed)
        picked = passed[:, :-1].view(np.uint8).sum(axis=1, dtype=np.uint8)  # the last ends all
        place = self._first[:n] + Z * picked.astype(np.intp)
        mean, sigma = self._drawn[:, :n]
        flat = outputs.reshape(-1)
        np.take(flat, place, out=mean, mode="clip")
        place += K * Z
        np.take(flat, place, out=sigma, mode="clip")
        np.exp(sigma, out=sigma)
        sigma *= normals
        if self._spread:
            sigma *= np.sqrt(self._hotter[:n, None])
        np.add(mean, sigma, out=self.z[:n])


def kept(rng: np.random.Generator, dropout: float, shape: tuple[int, ...]) -> np.ndarray:
    """What dropout leaves, as factors: 0, or more than 1 so that the mean stays; float32."""
    return (rng.random(shape, np.float32) >= dropout).astype(np.float32) / np.float32(1 - dropout)


def _mixture(weights: Arrays, z: int, mixtures: int,
             temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """The head's matrix and bias, mixture by mixture rather than latent by latent.

    Temperature is in them: logits / tau, and log sigma + log(tau) / 2.
    """
    size = mixtures * z
    kernel, bias = weights["mdn/kernel"].copy(), weights["mdn/bias"].copy()
    kernel[:, :size] /= temperature
    bias[:size] /= temperature
    bias[2 * size:3 * size] += 0.5 * np.log(temperature)
    by_mixture = np.arange(3 * size).reshape(3, z, mixtures).transpose(0, 2, 1).ravel()
    order = np.concatenate([by_mixture, np.arange(3 * size, len(bias))])
    return kernel[:, order].astype(np.float32), bias[order].astype(np.float32)
