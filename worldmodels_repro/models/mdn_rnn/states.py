"""M's state in the midst of episodes: where dreams may start, beside first frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worldmodels_repro.models.mdn_rnn.forward import MdnRnn
from worldmodels_repro.storage import Arrays

EPISODES, EACH = 512, 4  # at most so many, and steps of each
BATCH = 64


def states_along(memory: MdnRnn, episodes: Sequence[Arrays], rng: np.random.Generator) -> Arrays:
    """M's states at steps drawn from all that the episodes have, each with what V sees there.

    Args:
        memory: M, which follows each episode from its first step.
        episodes: each with mu, logvar (T, z) and actions (T, A) as M is told them.
        rng: draws episodes, steps and z.

    Returns:
        ``mu``, ``logvar`` (N, z) and M's ``h``, ``c`` (N, units) before it is told that z.
    """
    lengths = np.array([len(episode["mu"]) for episode in episodes])
    chosen = rng.choice(len(episodes), min(EPISODES, len(episodes)), replace=False,
                        p=lengths / lengths.sum())
    rows: list[Arrays] = []
    for first in range(0, len(chosen), BATCH):
        part = [episodes[index] for index in chosen[first:first + BATCH]]
        beside = memory.follow(len(part))
        for slot in range(len(part)):
            beside.reset(slot)
        picked = [set(rng.integers(len(episode["mu"]), size=EACH).tolist()) for episode in part]
        z, actions = (np.zeros((len(part), size), np.float32)
                      for size in (memory.z, part[0]["actions"].shape[1]))
        for t in range(max(map(max, picked)) + 1):
            for slot, episode in enumerate(part):
                if t >= len(episode["mu"]):
                    continue
                mu, logvar = (episode[name][t].astype(np.float32) for name in ("mu", "logvar"))
                if t in picked[slot]:
                    rows.append({"mu": mu, "logvar": logvar,
                                 **{name: beside.state[name][slot].copy() for name in ("h", "c")}})
                z[slot] = mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape, np.float32)
                actions[slot] = episode["actions"][t]
            beside.step(z, actions)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
