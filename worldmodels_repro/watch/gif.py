"""GIF files: one palette for all pictures, and a limit on their size."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from worldmodels_repro.storage import write_atomically

LIMIT = 3_000_000  # bytes
LAST_MILLISECONDS = 1500
COLORS, FLAT_COLORS = 96, 16


def write_gif(path: Path, pictures: list[np.ndarray], milliseconds: int) -> None:
    """Write pictures as a GIF that repeats; while it is too large, leave every other one out.

    Args:
        path: the file.
        pictures: (H, W, 3) uint8 each, all of one size.
        milliseconds: how long each is shown; the last one stays longer.

    Raises:
        OSError: the folder can't be written.
    """
    every = 1
    while True:
        shown = pictures[:-1:every] + pictures[-1:]
        data = _encode(shown, milliseconds * every)
        if len(data) < LIMIT or len(shown) <= 2:
            write_atomically(path, partial(_put, data))
            return
        every *= 2


def _put(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def _encode(pictures: list[np.ndarray], milliseconds: int) -> bytes:
    """GIF bytes, all pictures in one palette: colours do not flicker, and repeats cost little."""
    palette = _palette(pictures[:: max(1, len(pictures) // 16)])
    images = [Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
              for picture in pictures]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], loop=0,
                   duration=[milliseconds] * (len(images) - 1) + [LAST_MILLISECONDS])
    return buffer.getvalue()


def _palette(pictures: list[np.ndarray]) -> Image.Image:
    """The commonest colours as they are, and a median cut of all the others."""
    pixels = np.concatenate(pictures).reshape(-1, 3).astype(np.int32)
    colors, counts = np.unique(pixels @ (1 << 16, 1 << 8, 1), return_counts=True)
    flat = colors[np.argsort(-counts)[:FLAT_COLORS]]
    # By less than their areas: or else all colours would go to the meadow, none to the car.
    swatches = np.repeat(colors, np.ceil(counts**0.3).astype(int))
    cut = Image.fromarray(_rgb(swatches)[None]).quantize(COLORS - FLAT_COLORS)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*_rgb(flat).ravel().tolist(), *(cut.getpalette() or [])])
    return palette


def _rgb(codes: np.ndarray) -> np.ndarray:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)
