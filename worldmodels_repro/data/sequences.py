"""M's sequences: whole episodes or windows of them, with latents drawn afresh for every batch.

All latents stay in memory: an episode of 1,000 steps is 134 kB (10,000 are 1.3 GB).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from worldmodels_repro.storage import Arrays

Batch = tuple[np.ndarray, dict[str, np.ndarray]]


class Sequences:
    """Episodes of latents, and batches of windows of them.

    Args:
        episodes: each with mu, logvar (T, z), actions (T, A), rewards (T,), terminated (T,).
        length: steps of a window; a shorter episode fills the rest with masked zeros.
        restart_input: append 'this step is an episode's first' to the inputs.
    """

    def __init__(self, episodes: list[Arrays], length: int, restart_input: bool = False):
        self._episodes = episodes
        self._length = min(length, max(len(episode["mu"]) for episode in episodes))
        self._restart = restart_input

    def batch(self, size: int, rng: np.random.Generator) -> Batch:
        """``size`` windows: an episode by its length, then a uniform place in it."""
        lengths = np.array([len(episode["mu"]) for episode in self._episodes], float)
        picked = rng.choice(len(lengths), size, p=lengths / lengths.sum())
        windows = []
        for index in picked:
            spare = len(self._episodes[index]["mu"]) - self._length
            windows.append((int(index), int(rng.integers(0, spare + 1)) if spare > 0 else 0))
        return self._assemble(windows, rng)

    def in_order(self, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Every step once, window after window: what validation scores."""
        windows = [(index, start) for index, episode in enumerate(self._episodes)
                   for start in range(0, len(episode["mu"]), self._length)]
        for first in range(0, len(windows), size):
            yield self._assemble(windows[first:first + size], rng)

    def _assemble(self, windows: list[tuple[int, int]], rng: np.random.Generator) -> Batch:
        """Inputs (B, T, z + A (+ 1)) and targets by name, as :class:`MDNRNN` wants them."""
        B, T = len(windows), self._length
        z = self._episodes[0]["mu"].shape[1]
        A = self._episodes[0]["actions"].shape[1]
        latents = np.zeros((B, T + 1, z), np.float32)
        inputs = np.zeros((B, T, z + A + self._restart), np.float32)
        targets = {name: np.zeros((B, T), np.float32)
                   for name in ("valid", "next_valid", "done", "reward")}
        for row, (index, start) in enumerate(windows):
            episode = self._episodes[index]
            mu = episode["mu"][start:start + T + 1].astype(np.float32)  # one more: the target
            sigma = np.exp(0.5 * episode["logvar"][start:start + T + 1].astype(np.float32))
            latents[row, :len(mu)] = mu + sigma * rng.standard_normal(mu.shape, np.float32)
            steps = min(T, len(episode["mu"]) - start)
            inputs[row, :steps, z:z + A] = episode["actions"][start:start + steps]
            if self._restart and start == 0:
                inputs[row, 0, -1] = 1.0
            targets["valid"][row, :steps] = 1.0
            targets["next_valid"][row, :len(mu) - 1] = 1.0
            targets["done"][row, :steps] = episode["terminated"][start:start + steps]
            targets["reward"][row, :steps] = episode["rewards"][start:start + steps]
        inputs[:, :, :z] = latents[:, :T]
        inputs[:, :, :z] *= targets["valid"][:, :, None]
        return inputs, targets | {"z": latents[:, 1:]}
