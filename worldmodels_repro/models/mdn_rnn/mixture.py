"""Drawing the next latent from M's mixture, in NumPy (section 2.3; temperature as in section 4)."""

from __future__ import annotations

import numpy as np


def sample_mixture(logits: np.ndarray, mu: np.ndarray, log_sigma: np.ndarray, temperature: float,
                   rng: np.random.Generator) -> np.ndarray:
    """One draw of z for each row; every latent dimension picks a mixture of its own.

    Temperature tau divides the mixtures' logits, and scales the noise by sqrt(tau), so that
    tau -> 0 gives the mean of the likeliest mixture.

    Args:
        logits, mu, log_sigma: (..., z, K); the logits need not be normalised.
        temperature: tau > 0.

    Returns:
        (..., z) float32.

    Raises:
        ValueError: a temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    # Gumbel's trick: the argmax of logits / tau + Gumbel noise is a draw from the softmax.
    gumbel = rng.gumbel(size=logits.shape)
    picked = np.argmax(logits / temperature + gumbel, axis=-1)[..., None]  # (..., z, 1)
    mean = np.take_along_axis(mu, picked, axis=-1)[..., 0]
    sigma = np.exp(np.take_along_axis(log_sigma, picked, axis=-1)[..., 0])
    noise = rng.standard_normal(mean.shape)
    return (mean + sigma * np.sqrt(temperature) * noise).astype(np.float32)
