"""V's frames: every frame of every episode once an epoch, shuffled, in bounded memory.

10,000 episodes are 123 GB of frames. Episodes are read in random order into a pool of fixed
size, and batches are drawn from the whole pool, each frame leaving as it is drawn; a new
episode is read when there is room for it. With the default pool a batch mixes frames of
about 65 full episodes; where all frames fit into the pool the shuffle is uniform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

FRAME_BYTES = 64 * 64 * 3


class FramePool:
    """Draws an epoch's batches.

    Args:
        load: episode name -> its frames (T, 64, 64, 3) uint8.
        mib: memory of the pool, in MiB; one episode more is read ahead.
    """

    def __init__(self, load: Callable[[str], np.ndarray], mib: int):
        self._load = load
        self.capacity = mib * 2**20 // FRAME_BYTES
        # Memory that is never written to is never taken: a small data set needs little of it.
        self._pool = np.empty((self.capacity, 64, 64, 3), np.uint8)

    def batches(self, episodes: list[str], batch: int,
                rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Frames (batch, 64, 64, 3) uint8; what is left at the end, less than a batch, is not used.

        The same generator state gives the same batches.
        """
        order = [episodes[i] for i in rng.permutation(len(episodes))]
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._load, order.pop()) if order else None
            filled = 0
            while True:
                # Fill while the next episode fits, and always up to one batch.
                while ahead is not None:
                    frames = ahead.result()
                    if filled >= batch and filled + len(frames) > self.capacity:
                        break
                    ahead = reader.submit(self._load, order.pop()) if order else None
                    if filled + len(frames) > len(self._pool):  # one episode beats the pool
                        self._pool = np.resize(self._pool, (filled + len(frames), 64, 64, 3))
                    self._pool[filled:filled + len(frames)] = frames
                    filled += len(frames)
                if filled < batch:
                    return
                drawn = rng.choice(filled, batch, replace=False, shuffle=False)
                yield self._pool[drawn]
                filled = self._close_holes(drawn, filled)

    def _close_holes(self, drawn: np.ndarray, filled: int) -> int:
        """Move frames from the pool's end into the places of those drawn."""
        left = filled - len(drawn)
        holes = drawn[drawn < left]
        tail = np.setdiff1d(np.arange(left, filled), drawn, assume_unique=True)
        self._pool[holes] = self._pool[tail]
        return left
