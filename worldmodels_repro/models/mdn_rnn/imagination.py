"""M on its own: each step's latent is drawn from M's mixture and fed back (sections 2.3 and 4)."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.models.runtime import Affine, Precision
from worldmodels_repro.storage import Arrays


class Imagination:
    """B dreams in lockstep, a row each; drawing as in :func:`models.mixture.sample_mixture`.

    Temperature tau divides the mixtures' logits and scales the noise by sqrt(tau) (not by tau);
    every latent dimension picks a mixture of its own.

    Args:
        weights: M's, by name: ``lstm/*`` and ``mdn/*``, columns as :meth:`MDNRNN.split` has them.
        z: latent dimensions.
        done, reward: which heads M has.
        restart_input: whether M's input ends with 'this step is an episode's first'.
        batch: B.
        temperature: tau > 0.
        precision: arithmetic of the matrix products; everything else is float32.

    Attributes:
        z: (B, z) what M is fed next, and C sees; a view.
        h, c: (B, units) M's hidden and cell state.
        done: (B,) the logits of 'the episode ends with this step', of the last step taken; None
            without that head.
        reward: (B,) the last step's rewards; None without that head.

    Raises:
        ValueError: a temperature that is not positive, or weights that do not fit the heads.
    """

    def __init__(self, weights: Arrays, z: int, done: bool, reward: bool, restart_input: bool,
                 batch: int, temperature: float = 1.0, precision: Precision = "f32"):
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, not {temperature}")
        recurrent = weights["lstm/recurrent_kernel"]
        units, inputs = len(recurrent), len(weights["lstm/kernel"])
        outputs = len(weights["mdn/bias"])
        self._mixtures = K = (outputs - done - reward) // (3 * z)
        if 3 * K * z + done + reward != outputs or K < 1:
            raise ValueError(f"{outputs} outputs are no mixtures of {z} latents with "
                             f"{done + reward} heads")
        self._inputs, self._units, self._restart = inputs, units, restart_input
        # bfloat16 tiles are 32 deep: padded to whole ones, products take up to a third less time.
        width = -(-(inputs + units) // 32) * 32
        # Rows that a program computes: few are dearer each, but far dearer are rows for nothing.
        rows = max(batch, Affine.FEWEST)
        sizes = {max(-(-rows // part), Affine.FEWEST) for part in (1, 2, 4, 8)}
        self._joined = np.zeros((rows, width), np.float32)  # [z, a(, restart), h, 0]
        self._gates = np.zeros((rows, 4 * units), np.float32)
        self._outputs = np.zeros((rows, outputs), np.float32)
        self.h = np.zeros((rows, units), np.float32)
        self.c = np.zeros((rows, units), np.float32)
        self.z = self._joined[:, :z]
        self.done = self._outputs[:, 3 * K * z] if done else None
        self.reward = self._outputs[:, 3 * K * z + done] if reward else None
        gates, head = _gates(weights, width), _mixture(weights, z, K, temperature)
        self._programs = {n: (Affine(*gates, self._joined[:n], self._gates[:n], precision),
                              Affine(*head, self.h[:n], self._outputs[:n], precision))
                          for n in sorted(sizes)}
        # Scratch, so that a step allocates next to nothing.
        self._tanh = np.empty((rows, units), np.float32)
        self._cumulated = np.empty((rows, K, z), np.float32)
        self._level = np.empty((rows, 1, z), np.float32)
        self._passed = np.empty((rows, K, z), bool)
        self._drawn = np.empty((2, rows, z), np.float32)  # the mean and sigma of those picked
        # Where in the flat outputs the first mixture's mean of each latent stands.
        self._first = (np.arange(rows)[:, None] * outputs + K * z + np.arange(z)).astype(np.intp)

    def wake(self, row: int, z: np.ndarray) -> None:
        """An episode begins in this row: z_0 is ``z`` (z,), h_0 = c_0 = 0."""
        self._joined[row] = 0.0
        self.h[row] = self.c[row] = 0.0
        self.z[row] = z
        if self._restart:
            self._joined[row, self._inputs - 1] = 1.0

    def move(self, source: int, target: int) -> None:
        """The dream of one row goes on in another."""
        for array in (self._joined, self.h, self.c):
            array[target] = array[source]

    def step(self, actions: np.ndarray, uniforms: np.ndarray, normals: np.ndarray) -> None:
        """Advance the first n rows: z, h, c and the heads' outputs.

        Args:
            actions: (n, A).
            uniforms: (n, z) in [0, 1): they pick each latent's mixture.
            normals: (n, z) standard normal.
        """
        n, Z = normals.shape
        recurrence, head = next(pair for size, pair in self._programs.items() if size >= n)
        self._joined[:n, Z:Z + actions.shape[1]] = actions
        recurrence.run()  # (n, 4 units)
        self._remember(n)
        head.run()  # (n, outputs)
        self._draw(n, uniforms, normals)
        if self._restart:
            self._joined[:n, self._inputs - 1] = 0.0

    def _remember(self, n: int) -> None:
        """h_{t+1}, c_{t+1} from the gates, whose order is input, forget, output, candidate."""
        H, gates, c, h, scratch = (self._units, self._gates[:n], self.c[:n], self.h[:n],
                                   self._tanh[:n])
        np.tanh(gates, out=gates)
        gates[:, :3 * H] += 1.0  # twice the sigmoids
        c *= gates[:, H:2 * H]
        np.multiply(gates[:, :H], gates[:, 3 * H:], out=scratch)
        c += scratch
        c *= 0.5
        np.tanh(c, out=scratch)
        scratch *= 0.5
        np.multiply(gates[:, 2 * H:3 * H], scratch, out=h)
        self._joined[:n, self._inputs:self._inputs + H] = h

    def _draw(self, n: int, uniforms: np.ndarray, normals: np.ndarray) -> None:
        """z_{t+1} from the mixtures, by the inverse of each one's cumulated weights."""
        K, Z = self._mixtures, normals.shape[1]
        outputs = self._outputs[:n]
        logits = outputs[:, :K * Z].reshape(n, K, Z)
        cumulated, level, passed = self._cumulated[:n], self._level[:n], self._passed[:n]
        np.max(logits, axis=1, keepdims=True, out=level)
        np.subtract(logits, level, out=cumulated)
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
        np.add(mean, sigma, out=self.z[:n])


def _gates(weights: Arrays, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The LSTM's matrix (width, 4 units) and bias, the three sigmoids side by side and halved.

    sigmoid(x) = (1 + tanh(x / 2)) / 2: one tanh serves all four gates.
    """
    kernel = np.concatenate([weights["lstm/kernel"], weights["lstm/recurrent_kernel"]])
    kernel = np.pad(kernel, ((0, width - len(kernel)), (0, 0)))
    order = np.arange(kernel.shape[1]).reshape(4, -1)[[0, 1, 3, 2]].ravel()
    halves = np.full(kernel.shape[1], 0.5, np.float32)
    halves[3 * len(halves) // 4:] = 1.0
    return ((kernel[:, order] * halves).astype(np.float32),
            (weights["lstm/bias"][order] * halves).astype(np.float32))


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
