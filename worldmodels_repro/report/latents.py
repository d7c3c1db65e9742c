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
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import generator
from worldmodels_repro.tables import LatentMap

FRAMES, EPISODES = 2500, 50  # at most, spread evenly
THUMBNAILS = 22


def latents(run: Run) -> LatentMap:
    """t-SNE of posterior means, with action, return and pace, and some of the frames.

    In CarRacing a step's mean reward is the pace: so many new tiles of track a step, less 0.1.

    Raises:
        UserError: there are no latents, or no rollouts.
    """
    rollouts, folder = run.folder("rollouts"), run.folder("latents")
    encoded = [name for name in kept_episodes(rollouts) if episode_file(folder, name).exists()]
    if not encoded:
        raise UserError(f"{folder} holds no latents (the stage 'latents' writes them)")
    evenly = np.linspace(0, len(encoded) - 1, min(EPISODES, len(encoded))).astype(int)
    episodes = [encoded[place] for place in evenly]
    game = game_named(run.config.game)
    half_second = game.fps // 2  # in steps
    parts = []
    for index, name in enumerate(episodes):
        episode = load_episode(folder, name, LATENTS)
        steps = len(episode["mu"])
        count = min(steps, FRAMES // len(episodes))
        t = np.sort(generator(0, index).permutation(steps)[:count])
        total = np.concatenate([[0.0], np.cumsum(episode["rewards"], dtype=float)])
        begin, end = np.maximum(t - half_second, 0), np.minimum(t + half_second, steps)
        parts.append((episode["mu"][t].astype(np.float32), np.full(count, index), t,
                      episode["actions"][t, 0].astype(float), total[t],
                      (total[end] - total[begin]) / (end - begin)))
    mu, owner, step, action, score, pace = (
        np.concatenate(columns) for columns in zip(*parts, strict=True))
    if len(mu) < 4:
        raise UserError(f"{folder} holds {len(mu)} frames, too few to lay out")
    points = embed(mu)
    low, high = points.min(axis=0), points.max(axis=0)
    picked, apart = spread_out((points - low) / (high - low), THUMBNAILS)
    shown = {index: load_episode(rollouts, episodes[index], ("frames",))["frames"]
             for index in set(owner[picked].tolist())}
    return {"points": points, "action_name": game.first_action, "action": action, "score": score,
            "pace": pace, "picked": picked, "apart": apart,
            "frames": np.stack([shown[int(owner[index])][step[index]] for index in picked])}
