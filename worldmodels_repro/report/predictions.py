"""What M expects against what comes, on an episode that M never trained on."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.report.held_out import held_out_episode
from worldmodels_repro.run import Run
from worldmodels_repro.tables import Predictions

DIMENSIONS = 4


def predictions(run: Run) -> Predictions:
    """M's next latent, teacher forced with draws from V's posteriors, and V's.

    Told are the dimensions whose posterior means vary most within the window.

    Raises:
        UserError: there is no M, or no latents.
    """
    episode = held_out_episode(run)
    first, steps = episode.first, episode.steps
    mean, deviation = episode.expected(first, steps)
    t = np.arange(first + 1, first + steps + 1)
    picked = np.argsort(-episode.mu[t].var(axis=0))[:DIMENSIONS]
    return {"step": (episode.since + t).tolist(), "dimensions": [
        {"dimension": int(k), "mean": mean[:, k].tolist(),
         "low": (mean[:, k] - deviation[:, k]).tolist(),
         "high": (mean[:, k] + deviation[:, k]).tolist(),
         "posterior": episode.mu[t, k].tolist(), "draw": episode.z[t, k].tolist()}
        for k in picked]}
