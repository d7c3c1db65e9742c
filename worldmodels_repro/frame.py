"""What V sees of any game: the one size of a frame, and its mirror image."""

import cv2
import numpy as np

SIDE = 64
FRAME = (SIDE, SIDE, 3)
"""Height, width and colours, uint8."""


def mirror_images(frames: np.ndarray) -> np.ndarray:
    """Frames (N, 64, 64, 3) uint8 with left and right exchanged."""
    images = np.empty_like(frames)
    for frame, image in zip(frames, images, strict=True):
        cv2.flip(frame, 1, image)  # ten times as fast as a copy of frames[:, :, ::-1]
    return images
