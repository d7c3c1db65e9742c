"""V's latent space, flattened to the plane: t-SNE of many frames' latents."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.data.episodes import (
    LATENTS,
    episode_file,
    kept_episodes,
    load_episode,
)
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.report.layout import embed, spread_out
from worldmodels_repro.report.sample import load_sample, sample_file, so_far
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import generator
from worldmodels_repro.tables import LatentMap

FRAMES, EPISODES = 2500, 50  # at most, spread evenly
THUMBNAILS = 22


def latents(run: Run) -> LatentMap:
    """t-SNE of posterior means, with action, return and pace, and some of the frames.

    In CarRacing a step's mean reward is the pace: so many new tiles of track a step, less 0.1.

    Where the run has no latents any more, these are the moments of its sample.

    Raises:
        UserError: there are no latents, or no rollouts.
    """
    rollouts, folder = run.folder("rollouts"), run.folder("latents")
    encoded = [name for name in kept_episodes(rollouts) if episode_file(folder, name).exists()]
    if not encoded and sample_file(run).exists():
        return _of_sample(run)
    if not encoded:
        raise UserError(f"{folder} holds no latents (the stage 'latents' writes them)")
    evenly = np.linspace(0, len(encoded) - 1, min(EPISODES, len(encoded))).astype(int)
    episodes = [encoded[place] for place in evenly]
    game = game_named(run.config.game)
    parts = []
    for index, name in enumerate(episodes):
        episode = load_episode(folder, name, LATENTS)
        steps = len(episode["mu"])
        count = min(steps, FRAMES // len(episodes))
        t = np.sort(generator(0, index).permutation(steps)[:count])
        parts.append((episode["mu"][t].astype(np.float32), np.full(count, index), t,
                      episode["actions"][t, 0].astype(float),
                      *so_far(episode["rewards"], t, game)))
    mu, owner, step, action, score, pace = (
        np.concatenate(columns) for columns in zip(*parts, strict=True))
    if len(mu) < 4:
        raise UserError(f"{folder} holds {len(mu)} frames, too few to lay out")
    points = embed(mu)
    picked, apart = _picked(points)
    shown = {index: load_episode(rollouts, episodes[index], ("frames",))["frames"]
             for index in set(owner[picked].tolist())}
    return {"points": points, "action_name": game.first_action, "action": action, "score": score,
            "pace": pace, "picked": picked, "apart": apart,
            "frames": np.stack([shown[int(owner[index])][step[index]] for index in picked])}


def _of_sample(run: Run) -> LatentMap:
    kept = load_sample(run)
    picked, apart = _picked(kept["map_points"])
    return {"points": kept["map_points"], "action_name": game_named(run.config.game).first_action,
            "action": kept["map_actions"][:, 0], "score": kept["map_score"],
            "pace": kept["map_pace"], "picked": picked, "apart": apart,
            "frames": kept["map_frames"][picked]}


def _picked(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Which points are shown as frames, and how far those are apart."""
    low, high = points.min(axis=0), points.max(axis=0)
    return spread_out((points - low) / (high - low), THUMBNAILS)
