"""Where things go in the plane: t-SNE for points, and room for thumbnails."""

from __future__ import annotations

import numpy as np

PERPLEXITY = 30


def embed(latents: np.ndarray) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton, 2008) from the first two principal components.

    Args:
        latents: (n, z), n >= 4.

    Returns:
        (n, 2); the same for the same latents.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(PERPLEXITY, (len(latents) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=0)
    # One thread: on a busy machine threads that wait for each other take many times as long,
    # and sums in another order would move the points.
    with threadpool_limits(1):
        return np.asarray(tsne.fit_transform(latents.astype(np.float32)))


def spread_out(points: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Indices of points far apart, each the farthest from those before it.

    Args:
        points: (n, 2).
        count: how many to pick.

    Returns:
        (at most count,) indices, and the least distance between two of them along the axis in
        which they differ more: squares of that side around them do not overlap.
    """
    nearest = np.abs(points - np.median(points, axis=0)).max(axis=1)
    picked, side = [int(nearest.argmin())], float("inf")
    nearest = np.full(len(points), np.inf)
    while len(picked) < min(count, len(points)):
        nearest = np.minimum(nearest, np.abs(points - points[picked[-1]]).max(axis=1))
        side = float(nearest.max())
        picked.append(int(nearest.argmax()))
    return np.array(picked), side
