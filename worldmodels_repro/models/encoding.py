"""Posteriors of any number of frames, by an encoder of a fixed batch."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.frame import FRAME
from worldmodels_repro.models.contracts import Representation

BATCH = 50  # frames an encoder call: episodes of 1,000 steps divide by it


class Encoding:
    """V's encoder for whole episodes.

    Args:
        vision: V.
    """

    def __init__(self, vision: Representation):
        self._encoder = vision.encoder(BATCH)
        self._padded = np.zeros((BATCH, *FRAME), np.uint8)

    def posteriors(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames (T, 64, 64, 3) uint8 -> mu and log sigma^2, (T, z) float32 each."""
        mus, logvars = [], []
        for first in range(0, len(frames), BATCH):
            part = frames[first:first + BATCH]
            self._padded[:len(part)] = part
            mu, logvar = self._encoder.encode(self._padded)
            mus.append(mu[:len(part)].copy())
            logvars.append(logvar[:len(part)].copy())
        return np.concatenate(mus), np.concatenate(logvars)
