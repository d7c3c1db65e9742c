"""M's sequences: whole episodes or windows of them, with latents drawn afresh for every batch.

All latents stay in memory: an episode of 1,000 steps is 134 kB (10,000 are 1.3 GB).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.storage import Arrays

Batch = tuple[np.ndarray, dict[str, np.ndarray]]
Part = tuple[int, int, int]  # an episode, its first step, and how many


class Sequences:
    """Episodes of latents, and batches of windows of them.

    Args:
        episodes: each with mu, logvar (T, z), actions (T, A), rewards (T,), terminated (T,); for
            ``mirrored`` also mirrored_mu, mirrored_logvar (T, z).
        length: steps of a window; after a shorter episode come masked zeros.
        restart_input: append 'this step is an episode's first' to the inputs; after a shorter
            episode then comes another one, as in the released code: M is told where.
        foresight: add the targets ``ahead``, whether the episode ends within so many steps, this
            one counted, and ``known``, whether that can be told, each (B, T, len(foresight)).
        endings: the share of windows that are drawn among those which hold the step that ended an
            episode. Windows weigh, in ``valid`` and ``next_valid``, as much more or less as they
            are drawn less or more often than without: what is learnt of them stays as probable.
        mirrored: actions -> what they are in the mirror; half of the windows are then mirrored.

    Raises:
        UserError: windows with endings are asked for, and no episode ended.
    """

    def __init__(self, episodes: list[Arrays], length: int, restart_input: bool = False,
                 foresight: tuple[int, ...] = (), endings: float = 0.0,
                 mirrored: Callable[[np.ndarray], np.ndarray] | None = None):
        self._episodes = episodes
        self._length = min(length, max(len(episode["mu"]) for episode in episodes))
        self._restart, self._foresight, self._mirrored = restart_input, foresight, mirrored
        self._endings = endings
        lengths = self._lengths = np.array([len(episode["mu"]) for episode in episodes])
        # A window may slide over both of its episode's ends; then it is pushed back in. It begins
        # at one of so many places, of which the last ones hold the episode's last step.
        T = self._length
        self._places = lengths + T - 1
        ended = np.array([bool(episode["terminated"][-1]) for episode in episodes])
        self._holding = np.where(lengths > T, T, self._places) * ended
        if endings and not ended.any():
            raise UserError("memory.endings wants windows with endings, and no episode has one: "
                            "set it to 0.0")

    def batch(self, size: int, rng: np.random.Generator) -> Batch:
        """``size`` windows, in which an episode's last step has its share.

        Were a window's place uniform within the episode, only the one window that touches the
        end would hold the last step: M would hardly ever see an ending.
        """
        T, lengths, share = self._length, self._lengths, self._endings
        indices = rng.choice(len(lengths), size, p=self._places / self._places.sum())
        asked = rng.random(size) < share if share else np.zeros(size, bool)
        if asked.any():
            indices[asked] = rng.choice(len(lengths), asked.sum(),
                                        p=self._holding / self._holding.sum())
        rows, holds = [], np.zeros(size, bool)
        for number, index in enumerate(map(int, indices)):
            steps = int(lengths[index])
            places = (self._holding if asked[number] else self._places)[index]
            start = max(0, int(rng.integers(steps - places, steps)))
            holds[number] = self._holding[index] and start + T >= steps
            if not self._restart:
                start = min(start, max(0, steps - T))
            row = [(index, start, min(T, steps - start))]
            left = T - row[0][2]
            while self._restart and left > 0:
                index = int(rng.integers(len(lengths)))
                row.append((index, 0, min(left, int(lengths[index]))))
                left -= row[-1][2]
            rows.append(row)
        turned = rng.random(size) < 0.5 if self._mirrored else np.zeros(size, bool)
        inputs, targets = self._assemble(rows, rng, turned)
        if share:
            more = share * self._places.sum() / self._holding.sum()
            weights = 1.0 / (1.0 - share + more * holds)
            for name in ("valid", "next_valid"):
                targets[name] *= weights[:, None].astype(np.float32)
        return inputs, targets

    def in_order(self, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Every step once, window after window, one a row: what validation scores."""
        T = self._length
        rows = [[(index, start, min(T, len(episode["mu"]) - start))]
                for index, episode in enumerate(self._episodes)
                for start in range(0, len(episode["mu"]), T)]
        for first in range(0, len(rows), size):
            part = rows[first:first + size]
            yield self._assemble(part, rng, np.zeros(len(part), bool))

    def _assemble(self, rows: list[list[Part]], rng: np.random.Generator,
                  turned: np.ndarray) -> Batch:
        """Inputs (B, T, z + A (+ 1)) and targets by name, as :class:`MDNRNN` wants them."""
        B, T = len(rows), self._length
        z = self._episodes[0]["mu"].shape[1]
        A = self._episodes[0]["actions"].shape[1]
        latents = np.zeros((B, T + 1, z), np.float32)
        inputs = np.zeros((B, T, z + A + self._restart), np.float32)
        targets = {name: np.zeros((B, T), np.float32)
                   for name in ("valid", "next_valid", "done", "reward")}
        if self._foresight:
            targets |= {name: np.zeros((B, T, len(self._foresight)), np.float32)
                        for name in ("ahead", "known")}
        for row, parts in enumerate(rows):
            prefix = "mirrored_" if turned[row] else ""
            here = 0  # where in the row the part begins
            for index, start, steps in parts:
                episode = self._episodes[index]
                seen = slice(start, start + steps + 1)  # one more: a target
                mu = episode[f"{prefix}mu"][seen].astype(np.float32)
                sigma = np.exp(0.5 * episode[f"{prefix}logvar"][seen].astype(np.float32))
                sample = mu + sigma * rng.standard_normal(mu.shape, np.float32)
                latents[row, here:here + len(mu)] = sample
                there, part = slice(here, here + steps), slice(start, start + steps)
                actions = episode["actions"][part]
                inputs[row, there, z:z + A] = (self._mirrored(actions)
                                               if turned[row] and self._mirrored else actions)
                if self._restart and start == 0:
                    inputs[row, here, -1] = 1.0
                targets["valid"][row, there] = 1.0
                # An episode's last step has no next latent, whatever comes after it in the row.
                targets["next_valid"][row, here:here + len(mu) - 1] = 1.0
                targets["done"][row, there] = episode["terminated"][part]
                targets["reward"][row, there] = episode["rewards"][part]
                if self._foresight:
                    left = len(episode["mu"]) - np.arange(start, start + steps)[:, None]
                    within, ends = left <= np.array(self._foresight), episode["terminated"][-1]
                    targets["ahead"][row, there] = within & ends
                    targets["known"][row, there] = ends | ~within
                here += steps
        inputs[:, :, :z] = latents[:, :T]
        inputs[:, :, :z] *= targets["valid"][:, :, None]
        return inputs, targets | {"z": latents[:, 1:]}
