"""Seeds: one per run, from which every episode's is derived and written down.

Tracks for training, validation and evaluation can never be the same: the top three bits of an
environment's seed name the purpose, the others come from ``numpy.random.SeedSequence``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Purpose = Literal["rollouts", "training", "validation", "evaluation", "models", "dream"]

_PURPOSES: dict[str, int] = {
    "rollouts": 0, "training": 1, "validation": 2, "evaluation": 3, "models": 4, "dream": 5,
}
_FREE_BITS = 28  # 3 bits of purpose above them: seeds stay below 2**31, as ViZDoom wants


def episode_seed(run_seed: int, purpose: Purpose, *key: int) -> int:
    """The environment seed of one episode, in [0, 2**31).

    ``key`` places the episode within its purpose: (episode,) for rollouts, (generation, k) for
    training and so on. Two purposes never share a seed, whatever the run seeds and keys.
    """
    number = _PURPOSES[purpose]
    entropy = np.random.SeedSequence([run_seed, number, *key])
    low = int(entropy.generate_state(1, np.uint32)[0]) & ((1 << _FREE_BITS) - 1)
    return (number << _FREE_BITS) | low


def generator(seed: int, *key: int) -> np.random.Generator:
    """A random generator of its own for (seed, key), independent of every other one."""
    return np.random.default_rng(np.random.SeedSequence([seed, *key]))
