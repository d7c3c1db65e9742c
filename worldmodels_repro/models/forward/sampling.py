"""Pictures moved by numbers that can be learnt: gradients reach the numbers and the pictures.

Coordinates are those of spatial transformers (Jaderberg et al. 2015): -1 and 1 are the middles of a
picture's outermost pixels. What lies outside is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


def translated(pictures: Any, shifts: Any) -> Any:
    """Pictures moved right and down, between pixels in straight lines.

    A shift is a product with a matrix of hats from the left, and one from the right.

    Args:
        pictures: (n, S, S, c).
        shifts: (B, n, 2), x then y; 2 is a picture's side less a pixel.

    Returns:
        (B, n, S, S, c).
    """
    S = pictures.shape[1]
    places = np.arange(S, dtype=np.float32)
    apart = places[:, None] - places[None]  # (S, S): of a place from where it is taken
    moves = shifts * (0.5 * (S - 1))
    hats = ops.maximum(0.0, 1.0 - ops.abs(apart - moves[..., None, None]))  # (B, n, 2, S, S)
    return ops.einsum("bnij,bnkl,njlc->bnikc", hats[:, :, 1], hats[:, :, 0], pictures)


def transformed(pictures: Any, theta: Any) -> Any:
    """Each picture as seen through its affine map: bilinear.

    Args:
        pictures: (N, S, S).
        theta: (N, 6), the rows of [x', y'] = A [x, y, 1]: a place shows what is at A of it.

    Returns:
        (N, S, S).
    """
    S = pictures.shape[1]
    line = np.linspace(-1.0, 1.0, S, dtype=np.float32)
    grid = np.stack([*np.meshgrid(line, line), np.ones((S, S), np.float32)]).reshape(3, -1)
    places = ops.matmul(ops.reshape(theta, (-1, 2, 3)), grid)  # (N, 2, S S): x, y
    x, y = ((places[:, axis] + 1.0) * (0.5 * (S - 1)) for axis in (0, 1))
    left, top = ops.floor(x), ops.floor(y)
    flat = ops.reshape(pictures, (-1, S * S))
    seen = 0.0
    for column in (left, left + 1.0):
        for row in (top, top + 1.0):
            weight = (1.0 - ops.abs(x - column)) * (1.0 - ops.abs(y - row))
            inside = ops.cast((column >= 0) & (column < S) & (row >= 0) & (row < S), "float32")
            index = ops.clip(row, 0, S - 1) * S + ops.clip(column, 0, S - 1)
            values = ops.take_along_axis(flat, ops.cast(index, "int32"), axis=1)
            seen = seen + values * weight * inside
    return ops.reshape(seen, (-1, S, S))
