"""Windows of maps, and what is in the middle of each: examples for what tells classes apart."""

from __future__ import annotations

import cv2
import numpy as np

from worldmodels_repro.envs.detector_maps import CLASSES, Maps
from worldmodels_repro.errors import UserError


class Windows:
    """Windows of N examples: the pixels of maps that are of some class, and those around them.

    Args:
        maps: where from.
        numbers: of the maps.
        window: the side of what is seen.
        output: the side of what is told of it, its middle.
        neighbours: whether the 3 by 3 pixels around each are examples too; else all of them are
            of something.

    Attributes:
        counts: (M, 3) how often each class is told in the examples of each of M maps.

    Raises:
        UserError: all of them are empty.
    """

    def __init__(self, maps: Maps, numbers: range, window: int, output: int, neighbours: bool):
        self._window, self._output, self._edge = window, output, window // 2
        sources, targets, places = [], [], []
        for place, number in enumerate(numbers):
            source, target = maps[number]
            sources.append(np.pad(source, self._edge))
            targets.append(np.pad(target, self._edge))
            around = np.ones((3, 3) if neighbours else (1, 1), np.uint8)
            at = np.argwhere(cv2.dilate((target > 0).astype(np.uint8), around))
            places.append(np.column_stack([np.full(len(at), place), at]))
        self._sources, self._targets = np.stack(sources), np.stack(targets)
        self._places = np.concatenate(places)  # (N, 3): map, row, column
        if not len(self._places):
            raise UserError("all pixels of these maps are empty: there is nothing to tell apart")
        told = self._told(self._places)
        self.counts = np.stack([
            np.bincount(self._places[:, 0], (told == kind).sum(axis=1), len(numbers))
            for kind in range(len(CLASSES))], axis=1).astype(int)

    def __len__(self) -> int:
        return len(self._places)

    def drawn(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray,
                                                                  np.ndarray]:
        """``size`` examples: what is seen (B, window^2) float32 in counts, what is to be told of
        it (B, output^2), and the place of each one's map among them, (B,)."""
        places = self._places[rng.integers(len(self._places), size=size)]
        seen = _cut(self._sources, places, np.arange(self._window))
        return seen, self._told(places), places[:, 0]

    def _told(self, places: np.ndarray) -> np.ndarray:
        first = self._edge - self._output // 2
        return _cut(self._targets, places, np.arange(first, first + self._output))


def _cut(arrays: np.ndarray, places: np.ndarray, along: np.ndarray) -> np.ndarray:
    """(M, H, W) at places (B, 3) -> squares of them (B, s^2), ``along`` from each place on."""
    number, row, column = places.T[..., None, None]  # (B, 1, 1) each
    return arrays[number, row + along[:, None], column + along].reshape(len(places), -1)
