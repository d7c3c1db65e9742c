"""V's latent space, flattened to the plane: t-SNE of many frames' latents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import MaxNLocator

from worldmodels_repro.data.episodes import (
    LATENTS,
    episode_file,
    kept_episodes,
    load_episode,
)
from worldmodels_repro.errors import UserError
from worldmodels_repro.figures.style import GREY, PAGE, new_figure
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import generator

FRAMES, EPISODES = 2500, 50  # at most, spread evenly
PERPLEXITY = 30
THUMBNAILS = 24
HALF_SECOND = 25  # steps
STEERING = {"car_racing": "steering"}  # what the first number of an action is called


@dataclass(frozen=True)
class Sample:
    """Frames picked from all episodes, with what was going on around them.

    Attributes:
        mu: (n, z) posterior means.
        place: (n, 2) episode and step.
        action: (n,) the first number of the action.
        score: (n,) return up to the frame.
        pace: (n,) mean reward of a step, within half a second of the frame.
    """

    mu: np.ndarray
    place: np.ndarray
    action: np.ndarray
    score: np.ndarray
    pace: np.ndarray


def latents(run: Run) -> Figure:
    """t-SNE of posterior means, with some of the frames, coloured by action, return and pace.

    In CarRacing a step's mean reward is the pace: so many new tiles of track a step, less 0.1.

    Raises:
        UserError: there are no latents, or no rollouts.
    """
    sample = _sample(run)
    points = embed(sample.mu)
    figure = new_figure(PAGE, 4.75)
    large, small = figure.subfigures(1, 2, width_ratios=(4.75, 2.25))
    ax = large.subplots()
    ax.scatter(*points.T, s=3, color=GREY, alpha=0.35, linewidth=0, rasterized=True)
    _plain(ax)
    _thumbnails(ax, run, points, sample.place)
    panels = (
        (STEERING.get(run.config.game, "action"), sample.action, "managua"),
        ("return so far", sample.score, "viridis"),
        ("reward of a step, ±0.5 s", sample.pace, "viridis"),
    )
    for axis, (label, values, colors) in zip(small.subplots(3, 1), panels, strict=True):
        low, high = np.quantile(values, (0.01, 0.99))
        shown = axis.scatter(*points.T, c=values, s=2, cmap=colors, vmin=low, vmax=high,
                             linewidth=0, rasterized=True)
        _plain(axis)
        bar = small.colorbar(shown, ax=axis, aspect=14, pad=0.03)
        bar.set_label(label)
        bar.outline.set_visible(False)  # type: ignore[operator]
        bar.locator = MaxNLocator(4)
        bar.update_ticks()
    return figure


def embed(latents: np.ndarray) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton, 2008) from the first two principal components.

    Args:
        latents: (n, z), n >= 4.

    Returns:
        (n, 2); the same for the same latents.
    """
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(latents) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=0)
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


def _sample(run: Run) -> Sample:
    rollouts, folder = run.folder("rollouts"), run.folder("latents")
    indices = [index for index in kept_episodes(rollouts) if episode_file(folder, index).exists()]
    if not indices:
        raise UserError(f"{folder} holds no latents (the stage 'latents' writes them)")
    places = np.linspace(0, len(indices) - 1, min(EPISODES, len(indices))).astype(int)
    parts = []
    for index in (indices[place] for place in places):
        episode = load_episode(folder, index, LATENTS)
        steps = len(episode["mu"])
        count = min(steps, FRAMES // len(places))
        t = np.sort(generator(0, index).permutation(steps)[:count])
        total = np.concatenate([[0.0], np.cumsum(episode["rewards"], dtype=float)])
        begin, end = np.maximum(t - HALF_SECOND, 0), np.minimum(t + HALF_SECOND, steps)
        parts.append((episode["mu"][t].astype(np.float32),
                      np.column_stack([np.full(count, index), t]),
                      episode["actions"][t, 0].astype(float), total[t],
                      (total[end] - total[begin]) / (end - begin)))
    sample = Sample(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    if len(sample.mu) < 4:
        raise UserError(f"{folder} holds {len(sample.mu)} frames, too few to lay out")
    return sample


def _plain(ax: Axes) -> None:
    """t-SNE's axes have no unit and no meaning: none are drawn."""
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _thumbnails(ax: Axes, run: Run, points: np.ndarray, place: np.ndarray) -> None:
    low, high = points.min(axis=0), points.max(axis=0)
    width = 4.3  # inches, about what the panel measures
    inches = (points - low) / (high - low) * width
    picked, side = spread_out(inches, THUMBNAILS)
    side = min(0.9 * side, 0.5)
    frames = {index: load_episode(run.folder("rollouts"), index, ("frames",))["frames"]
              for index in sorted({int(index) for index in place[picked, 0]})}
    for index in picked:
        episode, step = place[index]
        # An OffsetImage of zoom 1 has a pixel for each point: 72 an inch.
        image = OffsetImage(frames[int(episode)][step], zoom=72 * side / 64)
        ax.add_artist(AnnotationBbox(image, tuple(points[index]), pad=0.0, bboxprops={
            "edgecolor": "white", "linewidth": 0.8}))
    margin = side / 2 / width * 1.05
    ax.set_xlim(low[0] - margin * (high - low)[0], high[0] + margin * (high - low)[0])
    ax.set_ylim(low[1] - margin * (high - low)[1], high[1] + margin * (high - low)[1])
