"""Animation files: WebP or GIF, as the file's name says, with a limit on their size."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from worldmodels_repro.errors import UserError
from worldmodels_repro.storage import write_atomically

LIMIT = 3_000_000  # bytes
LAST_MILLISECONDS = 1500
QUALITY = 40  # of WebP, 0 to 100: captions stay sharp
COLORS, FLAT_COLORS = 96, 16  # of a GIF


def check_suffix(path: Path) -> None:
    """Refuse a name that is no animation's.

    Raises:
        UserError: it ends neither in ``.webp`` nor in ``.gif``.
    """
    if path.suffix.lower() not in ENCODERS:
        raise UserError(f"{path} names no animation: end it in {' or '.join(ENCODERS)}")


def write_animation(path: Path, pictures: list[np.ndarray], milliseconds: int) -> None:
    """Write pictures as an animation that repeats, in the format that the suffix names.

    While the file is too large, every other picture is left out.

    Args:
        path: the file, ``.webp`` or ``.gif``.
        pictures: (H, W, 3) uint8 each, all of one size.
        milliseconds: how long each is shown; the last one stays longer.

    Raises:
        UserError: another suffix.
        OSError: the folder can't be written.
    """
    check_suffix(path)
    encode, every = ENCODERS[path.suffix.lower()], 1
    while True:
        shown = pictures[:-1:every] + pictures[-1:]
        times = [milliseconds * every] * (len(shown) - 1) + [LAST_MILLISECONDS]
        data = encode(shown, times)
        if len(data) < LIMIT or len(shown) <= 2:
            write_atomically(path, partial(_put, data))
            return
        every *= 2


def _put(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def _webp(pictures: list[np.ndarray], times: list[int]) -> bytes:
    return _saved([Image.fromarray(picture) for picture in pictures], times, "WEBP",
                  quality=QUALITY, method=4)


def _gif(pictures: list[np.ndarray], times: list[int]) -> bytes:
    """All pictures in one palette: colours do not flicker, and repeats cost little."""
    palette = _palette(pictures[:: max(1, len(pictures) // 16)])
    return _saved([Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
                   for picture in pictures], times, "GIF")


def _saved(images: list[Image.Image], times: list[int], kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], loop=0, duration=times,
                   **options)
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


ENCODERS = {".webp": _webp, ".gif": _gif}
