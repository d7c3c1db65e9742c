"""The frames of the transitions that a learner remembers: each once, as bytes.

A transition's row names them by two numbers: of the newest frame that was seen, and of its
episode's first. 50,000 gray frames are 205 MB, however many are seen together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from worldmodels_repro.data.stacks import Sight, places_of, stacked
from worldmodels_repro.storage import Arrays


class FrameRing:
    """The latest frames, by number; it grows where more are needed than it has room for.

    Args:
        sight: how frames are seen.
        transitions: that are remembered: about as many frames are.
    """

    def __init__(self, sight: Sight, transitions: int):
        self._sight = sight
        # An episode that is cut has a frame more than transitions. What is never written to takes
        # no memory.
        room = transitions + transitions // 16 + sight.stack + 1
        self._frames = np.empty((room, *sight.shape[:2], sight.channels), np.uint8)
        self._oldest = self.next = 0

    @property
    def frame(self) -> tuple[int, ...]:
        """The shape of one, (S, S, c)."""
        return self._frames.shape[1:]

    def add(self, seen: np.ndarray) -> int:
        """Keep the newest frame of a stack (S, S, k c); its number."""
        if self.next - self._oldest == len(self._frames):
            self._grow()
        self._frames[self.next % len(self._frames)] = self.newest(seen)
        self.next += 1
        return self.next - 1

    def newest(self, seen: np.ndarray) -> np.ndarray:
        """The newest frame (S, S, c) of a stack (S, S, k c)."""
        return seen[..., -self._sight.channels:]

    def forget(self, now: float, first: float) -> None:
        """No transition is remembered that was seen before this one, named as in its row."""
        self._oldest = max(self._oldest, int(first), int(now) - self._sight.stack + 1)

    def stacks(self, keys: np.ndarray) -> np.ndarray:
        """Numbers (B, 2), of the newest frame and of its episode's first -> (B, S, S, k c)."""
        now, first = keys.astype(np.int64).T
        return stacked(self._frames, places_of(now, first, self._sight) % len(self._frames))

    def state(self) -> Arrays:
        """All but the frames."""
        return {"next": np.array(self.next), "oldest": np.array(self._oldest)}

    def numbers(self) -> np.ndarray:
        """Of the frames that are kept."""
        return np.arange(self._oldest, self.next)

    def restore(self, state: Arrays, frames_of: Callable[[np.ndarray], np.ndarray]) -> None:
        """Undo :meth:`state`; ``frames_of`` gives frames as rows of bytes by their numbers."""
        self._oldest, self.next = int(state["oldest"]), int(state["next"])
        if self.next - self._oldest > len(self._frames):
            self._frames = np.empty((self.next - self._oldest, *self.frame), np.uint8)
        numbers = self.numbers()
        for first in range(0, len(numbers), 1024):  # not all of them twice
            part = numbers[first:first + 1024]
            self._frames[part % len(self._frames)] = frames_of(part).reshape(-1, *self.frame)

    def _grow(self) -> None:
        numbers, before = self.numbers(), self._frames
        self._frames = np.empty((len(before) + len(before) // 8 + 1, *self.frame), np.uint8)
        self._frames[numbers % len(self._frames)] = before[numbers % len(before)]
