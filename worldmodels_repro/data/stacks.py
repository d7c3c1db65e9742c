"""Frames for those without V: gray, less the episode's first, and the last few as one picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from worldmodels_repro.frame import SIDE

NOTHING = 128  # what a pixel is that has not changed since the episode's first frame


@dataclass(frozen=True, kw_only=True)
class Sight:
    """How frames are seen.

    Attributes:
        stack: k, frames seen together, the oldest first; an episode's first stands for those
            before it.
        gray: whether colours are given up.
        background: whether the episode's first frame is taken away: what is left has not moved.
        skip: steps of the game from one look to the next, all with the same action.
    """

    stack: int
    gray: bool
    background: bool
    skip: int = 1

    @property
    def channels(self) -> int:
        """c, the numbers of one frame's pixel."""
        return 1 if self.gray else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of what is seen: (64, 64, k c)."""
        return SIDE, SIDE, self.stack * self.channels

    def look(self, frames: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Frames (N, 64, 64, 3) uint8 and the first of their episodes, (64, 64, 3) or one each, as
        they are kept: (N, 64, 64, c) uint8.

        A difference d is kept as 128 + d / 2, rounded down: it may be of either sign.
        """
        if self.gray:
            frames, first = _gray(frames), _gray(first)
        if not self.background:
            return frames
        return ((frames.astype(np.int16) - first + 2 * NOTHING) >> 1).astype(np.uint8)


def stacked(frames: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Frames (N, S, S, c) at places (B, k) as pictures (B, S, S, k c), the first place first."""
    B, k = places.shape
    S, c = frames.shape[1], frames.shape[3]
    if c == 1:
        return frames[places][..., 0].transpose(0, 2, 3, 1)
    return frames[places].transpose(0, 2, 3, 1, 4).reshape(B, S, S, k * c)


def places_of(now: np.ndarray, first: np.ndarray, sight: Sight, apart: int = 1) -> np.ndarray:
    """Where the frames of stacks lie that end at ``now`` (B,), of episodes that begin at ``first``
    (B,): (B, k); ``apart`` from one to the next."""
    back = apart * np.arange(sight.stack - 1, -1, -1)
    return np.maximum(now[:, None] - back, first[:, None])


class Stacks:
    """What is seen in B episodes in lockstep.

    Args:
        sight: how.
        slots: B.

    Attributes:
        seen: (B, 64, 64, k c) uint8, always the same array.
    """

    def __init__(self, sight: Sight, slots: int):
        self._sight = sight
        self.seen = np.zeros((slots, *sight.shape), np.uint8)
        self._first = np.zeros((slots, SIDE, SIDE, 3), np.uint8)

    def begin(self, slot: int, frame: np.ndarray) -> None:
        """An episode's first frame (64, 64, 3) uint8."""
        self._first[slot] = frame
        now = self._sight.look(frame[None], frame)[0]
        self.seen[slot] = np.tile(now, self._sight.stack)

    def go_on(self, slot: int, frame: np.ndarray) -> None:
        """The next frame (64, 64, 3) uint8; the oldest is forgotten."""
        c = self._sight.channels
        self.seen[slot, ..., :-c] = self.seen[slot, ..., c:].copy()
        self.seen[slot, ..., -c:] = self._sight.look(frame[None], self._first[slot])[0]


def _gray(frames: np.ndarray) -> np.ndarray:
    """(..., S, S, 3) uint8 -> (..., S, S, 1): luma as OpenCV weighs colours."""
    lines = np.ascontiguousarray(frames).reshape(-1, frames.shape[-2], 3)
    gray = cv2.cvtColor(lines, cv2.COLOR_RGB2GRAY)
    return np.asarray(gray).reshape(*frames.shape[:-1], 1)
