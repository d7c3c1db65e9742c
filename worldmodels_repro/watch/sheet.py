"""Moments of an episode side by side, as one PNG: what the game shows, and what V sees of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from worldmodels_repro.storage import write_atomically

SIDE, MARGIN = 192, 8  # pixels: V's frames three times as large


def write_sheet(path: Path, moments: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write pairs of pictures (H, W, 3) and frames (64, 64, 3), uint8, as columns."""
    columns = []
    for picture, frame in moments:
        height, width = picture.shape[:2]
        original = cv2.resize(picture, (max(1, round(SIDE * width / height)), SIDE),
                              interpolation=cv2.INTER_AREA)
        seen = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        column = np.full((2 * SIDE + 3 * MARGIN, max(original.shape[1], SIDE) + MARGIN, 3), 255,
                         np.uint8)
        column[MARGIN:MARGIN + SIDE, :original.shape[1]] = original
        column[2 * MARGIN + SIDE:-MARGIN, :SIDE] = seen
        columns.append(column)
    sheet = np.concatenate(columns, axis=1)
    encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1]
    write_atomically(path, lambda file: file.write(encoded.tobytes()))
