"""Windows of episodes for networks that predict frames, padded and masked.

All frames stay in memory: of 32 by 32 pixels, 1,000 steps are 3 MB.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from worldmodels_repro.storage import Arrays

Batch = tuple[Arrays, Arrays]


def shrunk(frames: np.ndarray, side: int) -> np.ndarray:
    """Frames (..., S, S, 3) uint8 with each pixel the mean over its area, (..., side, side, 3)."""
    block = frames.shape[-2] // side
    if block == 1:
        return frames
    total = sum(frames[..., row::block, column::block, :].astype(np.uint16)
                for row in range(block) for column in range(block))
    return np.asarray((total + block**2 // 2) // block**2, np.uint8)


class Clips:
    """Episodes of frames, and batches of windows of them.

    A window has a step c, the frames before it that are its context, c's own the last of them, and
    the T steps from c on. The frame that step t leads to is number t + 1 of the episode: a
    prediction is always one step ahead.

    Args:
        episodes: each with frames (N, S, S, 3) uint8, actions (N, A), rewards (N,), terminated
            (N,), and a serve (2,), which may be zeros where none is used.
        context: K, frames of context.
        steps: T; after a shorter episode come masked zeros.
        from_start: whether c is always an episode's first step.
        compared: P, steps of a window whose frames are compared, drawn at random; None: all T.
        longest: frames of the longest episode that there may be; by default, that there is. Windows
            are no longer than it needs.
    """

    def __init__(self, episodes: list[Arrays], context: int, steps: int, from_start: bool = False,
                 compared: int | None = None, longest: int | None = None):
        self._episodes, self._context = episodes, context
        self._from_start = from_start
        self._lengths = np.array([len(episode["frames"]) for episode in episodes])
        self._steps = min(steps, (longest or int(self._lengths.max())) - context + 1)
        self._compared = min(compared or self._steps, self._steps)

    def batch(self, size: int, rng: np.random.Generator) -> Batch:
        """``size`` windows; an episode's last step is as often in one as its others."""
        T, first = self._steps, self._context - 1
        if self._from_start:
            indices = rng.integers(len(self._lengths), size=size)
            return self._assemble([(int(index), first) for index in indices], rng)
        # A window may slide over both of its episode's ends; then it is pushed back in.
        places = self._lengths - first + T - 1
        rows = []
        for index in map(int, rng.choice(len(places), size, p=places / places.sum())):
            last = max(first, int(self._lengths[index]) - T)
            start = int(rng.integers(first + 1 - T, self._lengths[index]))
            rows.append((index, min(max(start, first), last)))
        return self._assemble(rows, rng)

    def in_order(self, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Windows one after another, each step of an episode once: what validation scores."""
        first = self._context - 1
        rows = [(index, start) for index, length in enumerate(self._lengths)
                for start in (range(first, first + 1) if self._from_start
                              else range(first, length, self._steps))]
        for begin in range(0, len(rows), size):
            yield self._assemble(rows[begin:begin + size], rng)

    def _assemble(self, rows: list[tuple[int, int]], rng: np.random.Generator) -> Batch:
        """Inputs and targets as :class:`ForwardNetwork` wants them."""
        B, T, P, K = len(rows), self._steps, self._compared, self._context
        shape, A = self._episodes[0]["frames"].shape[1:], self._episodes[0]["actions"].shape[1]
        inputs = {"frames": np.zeros((B, K - 1 + T, *shape), np.uint8),
                  "serve": np.zeros((B, 2), np.float32),
                  "actions": np.zeros((B, T, A), np.float32),
                  "picks": np.zeros((B, P), np.int32)}
        targets = {"frames": np.zeros((B, P, *shape), np.uint8),
                   **{name: np.zeros((B, P), np.float32)
                      for name in ("valid", "next_valid", "reward", "done")}}
        for row, (index, start) in enumerate(rows):
            episode, length = self._episodes[index], int(self._lengths[index])
            there = min(T, length - start)
            inputs["frames"][row, :K - 1 + there] = (
                episode["frames"][start - K + 1:start + there])
            inputs["serve"][row] = episode["serve"]
            inputs["actions"][row, :there] = episode["actions"][start:start + there]
            chosen = np.sort(rng.permutation(there)[:P])
            steps, n = start + chosen, len(chosen)
            inputs["picks"][row, :n] = chosen
            targets["valid"][row, :n] = 1.0
            targets["next_valid"][row, :n] = steps + 1 < length
            targets["frames"][row, :n] = episode["frames"][np.minimum(steps + 1, length - 1)]
            targets["reward"][row, :n] = episode["rewards"][steps]
            targets["done"][row, :n] = episode["terminated"][steps]
        return inputs, targets
