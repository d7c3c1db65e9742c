"""How much better than expected each step went (Schulman et al. 2016), in NumPy."""

from __future__ import annotations

import numpy as np


def advantages_of(rewards: np.ndarray, values: np.ndarray, lengths: np.ndarray, ended: np.ndarray,
                  gamma: float, trace: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Generalised advantages (equation 16) of E episodes' N steps, an episode's after another's.

    Args:
        rewards: (N,).
        values: (N,) what the states are thought to be worth.
        lengths: (E,) steps of each episode.
        ended: (E,) whether by itself. What was cut would have gone on: its last state is worth
            what it is thought to be, and its last step is nothing to learn from.
        gamma: the discount.
        trace: lambda; 1 trusts what came, 0 the next state's value.

    Returns:
        advantages (N,), what the states came to be worth (N,), and the places of the steps to
        learn from, in order.
    """
    last = np.cumsum(lengths) - 1  # (E,)
    deltas = rewards - values
    deltas[:-1] += gamma * values[1:]
    deltas[last] = np.where(ended, rewards[last] - values[last], 0.0)
    advantages = deltas.astype(np.float32)
    for age in range(1, int(lengths.max(initial=0))):
        rows = last[lengths > age] - age
        advantages[rows] += gamma * trace * advantages[rows + 1]
    return advantages, advantages + values, np.setdiff1d(np.arange(len(rewards)), last[~ended])
