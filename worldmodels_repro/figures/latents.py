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
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.figures.layout import embed, spread_out
from worldmodels_repro.figures.style import GREY, PAGE, new_figure
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import generator

FRAMES, EPISODES = 2500, 50  # at most, spread evenly
THUMBNAILS = 22


@dataclass(frozen=True)
class Sample:
    """Frames picked from all episodes, with what was going on around them.

    Attributes:
        mu: (n, z) posterior means.
        episodes: their names, in order.
        place: (n, 2) which of the episodes, and the step.
        action: (n,) the first number of the action.
        score: (n,) return up to the frame.
        pace: (n,) mean reward of a step, within half a second of the frame.
    """

    mu: np.ndarray
    episodes: list[str]
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
    large, small = figure.subfigures(1, 2, width_ratios=(4.75, 2.25), squeeze=False)[0]
    ax = large.subplots()
    ax.scatter(*points.T, s=4, color=GREY, alpha=0.4, linewidth=0, rasterized=True)
    _plain(ax)
    _thumbnails(ax, run, points, sample)
    panels = (
        (game_named(run.config.game).first_action, sample.action, "managua"),
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
        bar.outline.set_visible(False)
        bar.locator = MaxNLocator(4)
        bar.update_ticks()
    return figure


def _sample(run: Run) -> Sample:
    rollouts, folder = run.folder("rollouts"), run.folder("latents")
    encoded = [name for name in kept_episodes(rollouts) if episode_file(folder, name).exists()]
    if not encoded:
        raise UserError(f"{folder} holds no latents (the stage 'latents' writes them)")
    evenly = np.linspace(0, len(encoded) - 1, min(EPISODES, len(encoded))).astype(int)
    episodes = [encoded[place] for place in evenly]
    half_second = game_named(run.config.game).fps // 2  # in steps
    parts = []
    for index, name in enumerate(episodes):
        episode = load_episode(folder, name, LATENTS)
        steps = len(episode["mu"])
        count = min(steps, FRAMES // len(episodes))
        t = np.sort(generator(0, index).permutation(steps)[:count])
        total = np.concatenate([[0.0], np.cumsum(episode["rewards"], dtype=float)])
        begin, end = np.maximum(t - half_second, 0), np.minimum(t + half_second, steps)
        parts.append((episode["mu"][t].astype(np.float32),
                      np.column_stack([np.full(count, index), t]),
                      episode["actions"][t, 0].astype(float), total[t],
                      (total[end] - total[begin]) / (end - begin)))
    mu, *others = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    sample = Sample(mu, episodes, *others)
    if len(sample.mu) < 4:
        raise UserError(f"{folder} holds {len(sample.mu)} frames, too few to lay out")
    return sample


def _plain(ax: Axes) -> None:
    """t-SNE's axes have no unit and no meaning: none are drawn."""
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _thumbnails(ax: Axes, run: Run, points: np.ndarray, sample: Sample) -> None:
    low, high = points.min(axis=0), points.max(axis=0)
    width = 4.3  # inches, about what the panel measures
    inches = (points - low) / (high - low) * width
    picked, side = spread_out(inches, THUMBNAILS)
    side = min(0.9 * side, 0.38)
    rollouts = run.folder("rollouts")
    frames = {index: load_episode(rollouts, sample.episodes[index], ("frames",))["frames"]
              for index in set(sample.place[picked, 0].tolist())}
    for index in picked:
        episode, step = sample.place[index]
        # An OffsetImage of zoom 1 has a pixel for each point: 72 an inch.
        image = OffsetImage(frames[int(episode)][step], zoom=72 * side / 64)
        ax.add_artist(AnnotationBbox(image, tuple(points[index]), pad=0.0, bboxprops={
            "edgecolor": "white", "linewidth": 0.8}))
    margin = side / 2 / width * 1.05
    ax.set_xlim(low[0] - margin * (high - low)[0], high[0] + margin * (high - low)[0])
    ax.set_ylim(low[1] - margin * (high - low)[1], high[1] + margin * (high - low)[1])
