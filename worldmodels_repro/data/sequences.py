"""M's sequences: whole episodes or windows of them, with latents drawn afresh for every batch.

All latents stay in memory: an episode of 1,000 steps is 134 kB (10,000 are 1.3 GB).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from worldmodels_repro.storage import Arrays

Batch = tuple[np.ndarray, dict[str, np.ndarray]]
Part = tuple[int, int, int]  # an episode, its first step, and how many


class Sequences:
    """Episodes of latents, and batches of windows of them.

    Args:
        episodes: each with mu, logvar (T, z), actions (T, A), rewards (T,), terminated (T,).
        length: steps of a window; after a shorter episode come masked zeros.
        restart_input: append 'this step is an episode's first' to the inputs; after a shorter
            episode then comes another one, as in the released code: M is told where.
    """

    def __init__(self, episodes: list[Arrays], length: int, restart_input: bool = False):
        self._episodes = episodes
        self._length = min(length, max(len(episode["mu"]) for episode in episodes))
        self._restart = restart_input

    def batch(self, size: int, rng: np.random.Generator) -> Batch:
        """``size`` windows, in which an episode's last step has its share.

        Were a window's place uniform within the episode, only the one window that touches the
        end would hold the last step: M would hardly ever see an ending.
        """
        T = self._length
        lengths = np.array([len(episode["mu"]) for episode in self._episodes])
        # A window may slide over both of its episode's ends; then it is pushed back in.
        places = lengths + T - 1
        rows = []
        for index in map(int, rng.choice(len(lengths), size, p=places / places.sum())):
            steps = int(lengths[index])
            start = max(0, int(rng.integers(1 - T, steps)))
            if not self._restart:
                start = min(start, max(0, steps - T))
            row = [(index, start, min(T, steps - start))]
            left = T - row[0][2]
            while self._restart and left > 0:
                index = int(rng.integers(len(lengths)))
                row.append((index, 0, min(left, int(lengths[index]))))
                left -= row[-1][2]
            rows.append(row)
        return self._assemble(rows, rng)

    def in_order(self, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Every step once, window after window, one a row: what validation scores."""
        T = self._length
        rows = [[(index, start, min(T, len(episode["mu"]) - start))]
                for index, episode in enumerate(self._episodes)
                for start in range(0, len(episode["mu"]), T)]
        for first in range(0, len(rows), size):
            yield self._assemble(rows[first:first + size], rng)

    def _assemble(self, rows: list[list[Part]], rng: np.random.Generator) -> Batch:
        """Inputs (B, T, z + A (+ 1)) and targets by name, as :class:`MDNRNN` wants them."""
        B, T = len(rows), self._length
        z = self._episodes[0]["mu"].shape[1]
        A = self._episodes[0]["actions"].shape[1]
        latents = np.zeros((B, T + 1, z), np.float32)
        inputs = np.zeros((B, T, z + A + self._restart), np.float32)
        targets = {name: np.zeros((B, T), np.float32)
                   for name in ("valid", "next_valid", "done", "reward")}
        for row, parts in enumerate(rows):
            here = 0  # where in the row the part begins
            for index, start, steps in parts:
                episode = self._episodes[index]
                mu = episode["mu"][start:start + steps + 1].astype(np.float32)  # one more: a target
                sigma = np.exp(0.5 * episode["logvar"][start:start + steps + 1].astype(np.float32))
                sample = mu + sigma * rng.standard_normal(mu.shape, np.float32)
                latents[row, here:here + len(mu)] = sample
                there, part = slice(here, here + steps), slice(start, start + steps)
                inputs[row, there, z:z + A] = episode["actions"][part]
                if self._restart and start == 0:
                    inputs[row, here, -1] = 1.0
                targets["valid"][row, there] = 1.0
                # An episode's last step has no next latent, whatever comes after it in the row.
                targets["next_valid"][row, here:here + len(mu) - 1] = 1.0
                targets["done"][row, there] = episode["terminated"][part]
                targets["reward"][row, there] = episode["rewards"][part]
                here += steps
        inputs[:, :, :z] = latents[:, :T]
        inputs[:, :, :z] *= targets["valid"][:, :, None]
        return inputs, targets | {"z": latents[:, 1:]}
