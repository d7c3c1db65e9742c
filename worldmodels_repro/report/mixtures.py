"""M's mixtures, whole, over a bend: where the next latent may go, and where it went."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.report.held_out import held_out_episode
from worldmodels_repro.run import Run
from worldmodels_repro.tables import Mixtures

STEPS = 60  # of the bend
DIMENSIONS, VALUES, FRAMES = 2, 160, 9


def mixtures(run: Run) -> Mixtures:
    """The mixtures of the latents that vary most where the agent's action turns most.

    Row k is what M, told z and actions up to the step before, expects of the k-th step
    (section 2.3).

    Raises:
        UserError: there is no M, or no latents.
    """
    episode = held_out_episode(run)
    steps = min(STEPS, episode.steps)
    side = np.concatenate([[0.0], np.cumsum(episode.actions[:, 0], dtype=float)])
    starts = np.arange(episode.first, episode.first + episode.steps - steps + 1)
    half = starts + steps // 2
    turns = np.abs(side[starts + steps] - 2 * side[half] + side[starts])  # of the two halves
    first = int(starts[turns.argmax()])
    memory = episode.memory(first)
    mixture = [memory.step(episode.z[t], episode.actions[t]) for t in range(first, first + steps)]
    log_weights, mu, log_sigma = (np.stack(part) for part in zip(*mixture, strict=True))
    t = np.arange(first + 1, first + steps + 1)
    picked = np.argsort(-episode.mu[t].var(axis=0))[:DIMENSIONS]
    values, density = [], []
    for k in picked:
        weights, means, sigmas = (np.exp(log_weights[:, k]), mu[:, k], np.exp(log_sigma[:, k]))
        # What is far from all of it is not shown: a component may be anywhere at no weight.
        middle, spread = (weights * means).sum(axis=1), (weights * sigmas).sum(axis=1)
        ends = np.concatenate([middle - 3 * spread, middle + 3 * spread, episode.z[t, k]])
        grid = np.linspace(ends.min(), ends.max(), VALUES)
        apart = (grid[None, :, None] - means[:, None]) / sigmas[:, None]  # (S, G, K)
        parts = weights[:, None] * np.exp(-0.5 * apart**2) / (np.sqrt(2 * np.pi) * sigmas[:, None])
        values.append(grid)
        density.append(parts.sum(axis=-1))
    shown = np.linspace(0, steps - 1, min(FRAMES, steps)).astype(int)
    return {"step": episode.since + t, "frames": episode.frames()[t[shown]],
            "dimensions": picked, "values": np.stack(values), "density": np.stack(density),
            "mean": episode.mu[t][:, picked].T, "draw": episode.z[t][:, picked].T,
            "action_name": game_named(run.config.game).first_action,
            "action": episode.actions[t, 0]}
