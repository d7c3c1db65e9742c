"""Formulas against independent references: closed forms and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.models.mdn_rnn.mixture import sample_mixture
from worldmodels_repro.statistics import bootstrap_interval, summary


def test_kl_is_the_integral_of_its_definition() -> None:
    from worldmodels_repro.models.vae.vae import kl_divergence

    mu, logvar = np.array([[0.7, -1.2]]), np.array([[0.3, -2.0]])

    def integral(m: float, s: float) -> float:
        q, p = stats.norm(m, s), stats.norm()
        return integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), m - 12 * s,
                              m + 12 * s)[0]

    expected = sum(integral(m, np.exp(v / 2)) for m, v in zip(mu[0], logvar[0], strict=True))
    assert float(kl_divergence(mu, logvar)[0]) == pytest.approx(expected, rel=1e-6)


def test_kl_below_the_tolerance_costs_the_tolerance() -> None:
    from worldmodels_repro.models.vae.vae import VAE

    vae = VAE(z=4, kl_tolerance=0.5)
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    mu = np.array([[0.1, 0, 0, 0], [3.0, 0, 0, 0]], np.float32)  # KL 0.005 and 4.5
    predicted = (np.full((2, 64, 64, 3), 0.5, np.float32), mu, np.zeros((2, 4), np.float32))
    loss = float(vae.compute_loss((frames, None), None, predicted))
    # The error is summed over the image, not averaged; the KL is floored image by image.
    assert loss == pytest.approx(64 * 64 * 3 * 0.25 + (2.0 + 4.5) / 2, rel=1e-6)


def test_v_weighs_squares_and_fourth_powers_of_its_errors() -> None:
    from worldmodels_repro.models.vae.vae import VAE

    vae = VAE(z=4, kl_tolerance=0.0, square_weight=3.0, fourth_weight=20.0)
    frames = np.zeros((1, 64, 64, 3), np.uint8)
    nothing = np.zeros((1, 4), np.float32)  # KL 0
    picture = np.zeros((1, 64, 64, 3), np.float32)
    picture[0, 5, 7] = (0.5, 0.1, 0.0)  # one pixel is wrong
    loss = float(vae.compute_loss((frames, None), None, (picture, nothing, nothing)))
    assert loss == pytest.approx(3 * (0.25 + 0.01) + 20 * (0.0625 + 0.0001), rel=1e-5)


def test_a_rate_stands_still_then_cools_to_a_hundredth() -> None:
    from worldmodels_repro.training.rates import cooled

    assert [cooled(0.2, 0.5, done) for done in (0.0, 0.5, 0.75, 1.0)] == pytest.approx(
        [0.2, 0.2, 0.1, 0.002])
    assert cooled(0.2, 0.0, 1.0) == 0.2


def test_mixture_nll_is_scipys_log_density() -> None:
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import mixture_nll

    rng = np.random.default_rng(0)
    B, Z, K = 3, 4, 5
    logits, mu, log_sigma = (rng.normal(size=(B, Z, K)) for _ in range(3))
    log_weights = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    target = rng.normal(size=(B, Z))
    density = (np.exp(log_weights) * stats.norm(mu, np.exp(log_sigma)).pdf(target[..., None]))
    expected = -np.log(density.sum(-1)).mean(-1)
    np.testing.assert_allclose(mixture_nll(target, log_weights, mu, log_sigma), expected,
                               rtol=1e-5)


def test_mixture_nll_survives_a_far_target() -> None:
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import mixture_nll

    far = mixture_nll(np.full((1, 1), 1e3, np.float32), np.zeros((1, 1, 1), np.float32),
                      np.zeros((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.float32))
    assert float(far[0]) == pytest.approx(0.5e6, rel=1e-3)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.3])
def test_temperature_sampling_has_the_tempered_distribution(temperature: float) -> None:
    logits, mu, log_sigma = np.array([1.0, -0.5, 0.2]), np.array([-2.0, 0.0, 3.0]), np.array(
        [-0.5, 0.1, -1.0])
    n = 20_000
    rows = [np.broadcast_to(x, (n, 1, 3)) for x in (logits, mu, log_sigma)]
    draws = sample_mixture(rows[0], rows[1], rows[2], temperature,
                           np.random.default_rng(1))[:, 0]
    weights = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    sigma = np.exp(log_sigma) * np.sqrt(temperature)

    def cdf(x: np.ndarray) -> np.ndarray:
        return (weights * stats.norm(mu, sigma).cdf(np.asarray(x)[..., None])).sum(-1)

    assert stats.kstest(draws, cdf).pvalue > 0.01


def test_each_latent_dimension_picks_its_own_mixture() -> None:
    mu = np.broadcast_to([-1.0, 1.0], (4000, 2, 2))
    draws = sample_mixture(np.zeros_like(mu), mu, np.full_like(mu, -9.0), 1.0,
                           np.random.default_rng(2))
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 0.05


def test_temperature_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        sample_mixture(*(np.zeros((1, 1, 1)),) * 3, 0.0, np.random.default_rng(0))


def test_squash_of_car_racing() -> None:
    outputs = np.array([[-0.5, -1.0, -0.7], [0.5, 1.0, 0.3]], np.float32)
    np.testing.assert_allclose(game_named("car_racing").act(outputs),
                               [[-0.5, 0.0, 0.0], [0.5, 1.0, 0.3]], rtol=1e-6)
    assert outputs[0, 1] == -1.0, "the caller's array is left alone"


def test_controller_is_a_matrix_product() -> None:
    rng = np.random.default_rng(3)
    shape = ControllerShape(features=7, actions=3)
    weights, features = rng.normal(size=(2, shape.weights)), rng.normal(size=(2, 7))
    expected = [np.tanh(w[:21].reshape(3, 7) @ f + w[21:]) for w, f in
                zip(weights, features, strict=True)]
    np.testing.assert_allclose(shape.act(weights, features), expected)


@pytest.mark.parametrize(("features", "actions", "hidden", "bias", "count"), [
    (288, 3, 0, True, 867), (32, 3, 0, True, 99), (32, 3, 40, True, 1443),
    (64 + 512 + 512, 1, 0, False, 1088),
])
def test_controller_parameter_counts(features: int, actions: int, hidden: int, bias: bool,
                                     count: int) -> None:
    assert ControllerShape(features, actions, hidden, bias).weights == count


def test_bootstrap_interval_is_scipys() -> None:
    scores = np.random.default_rng(4).normal(880, 60, 100)
    ours = bootstrap_interval(scores)
    theirs = stats.bootstrap((scores,), np.mean, method="percentile", n_resamples=20_000,
                             rng=np.random.default_rng(5)).confidence_interval
    np.testing.assert_allclose(ours, theirs, atol=1.0)


def test_summary_uses_the_sample_deviation() -> None:
    row = summary([1.0, 2.0, 3.0])
    assert (row["mean"], row["std"], row["episodes"]) == (2.0, 1.0, 3)
    assert row["ci95"][0] <= 2.0 <= row["ci95"][1]
