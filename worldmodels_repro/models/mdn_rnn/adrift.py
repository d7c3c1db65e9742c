"""M fed its own draws in training, as it will be in dreams (Bengio et al. 2015, "Scheduled
Sampling"): it then tells an ending by what it makes of a danger, not only by what V sees of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from worldmodels_repro.models.mdn_rnn.mixture import sample_mixture


def drift(model: Any, inputs: np.ndarray, starts: np.ndarray, last: np.ndarray, steps: int,
          rng: np.random.Generator, kept: tuple[np.ndarray, np.ndarray] | None = None
          ) -> np.ndarray:
    """Put M's draws in z's place from a step of each window on; actions stay what they were.

    Args:
        model: an :class:`MDNRNN`.
        inputs: (B, T, z + A (+ 1)), written over.
        starts: (B,) the last step at which M sees what V saw.
        last: (B,) the step that the drift may reach: an episode's, or the window's.
        steps: of a drift at most.
        rng: of the draws.
        kept: what dropout leaves, as factors: of z (B, z) and of h before the mixture (B, units).

    Returns:
        (B, T) where z is M's own.
    """
    B, T, _ = inputs.shape
    rows, z = np.arange(B), model.head.z
    own = np.zeros((B, T), bool)
    of_z, of_h = kept or (np.float32(1), np.float32(1))
    # Where it is masked an LSTM's state stands still: what comes out is the state at ``starts``.
    told = ops.convert_to_tensor(np.arange(T) <= starts[:, None])
    _, h, c = model.lstm(ops.convert_to_tensor(inputs), mask=told)  # (B, units) each
    for ahead in range(1, steps + 1):
        live = starts + ahead <= last
        if not live.any():
            break
        outputs = ops.convert_to_numpy(model.mixture(ops.cast(h, "float32") * of_h))
        logits, mu, log_sigma, _, _ = model.head.split(outputs)
        drawn = sample_mixture(logits, mu, log_sigma, 1.0, rng) * of_z  # (B, z)
        here = np.minimum(starts + ahead, T - 1)
        inputs[rows[live], here[live], :z] = drawn[live]
        own[rows[live], here[live]] = True
        _, (h, c) = model.lstm.cell(ops.convert_to_tensor(inputs[rows, here]), (h, c))
    return own
