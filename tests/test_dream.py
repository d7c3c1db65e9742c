"""M's dream: what it draws, where it starts, how it ends, and that nobody's neighbours matter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from worldmodels_repro.config import check_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import Precision
from worldmodels_repro.models.mdn_rnn.forward import MdnRnn
from worldmodels_repro.models.mdn_rnn.imagination import Imagination, kept
from worldmodels_repro.models.weights import weights_of
from worldmodels_repro.policies.dream_scores import play_randomly
from worldmodels_repro.sections import Memory
from worldmodels_repro.storage import Arrays, save_npz
from worldmodels_repro.worlds.dream import AHEAD, Dream, DreamWorld, load_starts


def arrays(z: int, actions: int, units: int, heads: int, seed: int = 0) -> Arrays:
    """An M of random weights, five mixtures a latent."""
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

    outputs = 15 * z + heads
    return {"lstm/kernel": array(z + actions, 4 * units), "lstm/bias": array(4 * units),
            "lstm/recurrent_kernel": array(units, 4 * units),
            "mdn/kernel": array(units, outputs), "mdn/bias": 0.3 * array(outputs)}


def small_dream(done: float = -0.5, reward: float | None = None) -> Dream:
    """A CarRacing dream whose heads say the same at every step."""
    memory = arrays(4, 3, 16, 1 + (reward is not None))
    memory["mdn/kernel"][:, 60:] = 0.0
    memory["mdn/bias"][60:] = [done] if reward is None else [done, reward]
    starts = {"mu": np.zeros((3, 4), np.float32), "logvar": np.zeros((3, 4), np.float32)}
    return Dream(game="car_racing", starts=starts, inputs=("z", "h"), temperature=1.0,
                 precision="f32",
                 memory=MdnRnn(weights=memory, z=4, done=True, reward=reward is not None))


def dreaming(weights: Arrays, z: int, done: bool, reward: bool, restart: bool, batch: int,
             temperature: float = 1.0, precision: Precision = "f32") -> Imagination:
    """M on its own."""
    memory = MdnRnn(weights=weights, z=z, done=done, reward=reward, restart_input=restart)
    return memory.dream(batch, temperature, precision)


# --- what a step draws ---

@pytest.mark.parametrize(("weight", "share"), [(None, 1.0), (10.0, 0.05)])
def test_an_ending_is_drawn_with_ms_probability_or_where_the_logit_is_above_0(
        weight: float | None, share: float) -> None:
    logit = float(np.log(10.0) + np.log(0.05 / 0.95)) if weight else 0.01
    world = DreamWorld(replace(small_dream(logit), ending_weight=weight), 40)
    for slot in range(40):
        world.reset(slot, slot)
    ends = np.mean([world.advance(np.zeros((40, 3), np.float32))[1].copy() for _ in range(200)])
    assert abs(ends - share) < 0.01  # standard deviation 0.0024


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.3])
@pytest.mark.parametrize("restart", [False, True])
def test_a_step_is_kerass_m_and_the_draw_by_hand(temperature: float, restart: bool) -> None:
    """Each latent a mixture of its own, logits / tau, sigma * sqrt(tau); the heads as they are.

    Fails with one mixture for all latents, with sigma * tau, and with tau on the noise alone.
    """
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import compiled_mdn_rnn

    B, T, Z, A = 6, 5, 3, 2
    model = compiled_mdn_rnn(Memory(units=16, done=True, reward=True, restart_input=restart), Z, A,
                             seed=1)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:  # far from what training starts with
        variable.assign(rng.normal(0.0, 0.6, variable.shape))
    mind = dreaming(weights_of(model), Z, True, True, restart, B, temperature)
    for row in range(B):
        mind.wake(row, rng.standard_normal(Z).astype(np.float32), rng)
    inputs = np.zeros((B, T, Z + A + restart), np.float32)
    inputs[:, 0, Z + A:] = 1.0
    drawn, dones, rewards = [], [], []
    actions = rng.uniform(-1, 1, (T, B, A)).astype(np.float32)
    uniforms = rng.random((T, B, Z), np.float32)
    normals = rng.standard_normal((T, B, Z), np.float32)
    for t in range(T):
        inputs[:, t, :Z], inputs[:, t, Z:Z + A] = mind.z[:B], actions[t]
        mind.step(actions[t], uniforms[t], normals[t])
        assert mind.done is not None
        assert mind.reward is not None
        drawn.append(mind.z[:B].copy())
        dones.append(mind.done[:B].copy())
        rewards.append(mind.reward[:B].copy())
    log_weights, mu, log_sigma, done, reward = map(np.asarray, model.split(model(inputs)))
    tempered = np.exp(log_weights / temperature)
    tempered /= tempered.sum(axis=-1, keepdims=True)  # (B, T, Z, K)
    below = np.cumsum(tempered, axis=-1) <= uniforms.transpose(1, 0, 2)[..., None]
    picked = below.sum(axis=-1)[..., None]
    assert len(np.unique(picked[0, 0])) > 1 or len(np.unique(picked)) > 2
    mean, sigma = (np.take_along_axis(part, picked, -1)[..., 0] for part in (mu, np.exp(log_sigma)))
    expected = mean + sigma * np.sqrt(temperature) * normals.transpose(1, 0, 2)
    np.testing.assert_allclose(np.stack(drawn, 1), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.stack(dones, 1), done, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.stack(rewards, 1), reward, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.3])
def test_draws_have_the_tempered_distribution(temperature: float) -> None:
    n, K = 4000, 5
    logits, mu, log_sigma = (np.array(row, np.float32) for row in (
        [1.0, -0.5, 0.2, -2.0, 0.0], [-2.0, 0.0, 3.0, 5.0, -5.0], [-0.5, 0.1, -1.0, 0.0, -0.7]))
    memory = arrays(2, 1, 8, 0)
    memory["mdn/kernel"][:] = 0.0
    memory["mdn/bias"] = np.concatenate([np.tile(row, 2) for row in (logits, mu, log_sigma)])
    mind = dreaming(memory, 2, False, False, False, n, temperature)
    rng = np.random.default_rng(1)
    mind.step(np.zeros((n, 1), np.float32), rng.random((n, 2), np.float32),
              rng.standard_normal((n, 2), np.float32))
    weights = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    sigma = np.exp(log_sigma) * np.sqrt(temperature)

    def cdf(x: np.ndarray) -> np.ndarray:
        return (weights * stats.norm(mu, sigma).cdf(np.asarray(x)[..., None])).sum(-1)

    assert weights.shape == (K,)
    for k in range(2):
        assert stats.kstest(mind.z[:n, k], cdf).pvalue > 0.01
    # One mixture's choice shared by all latents would make them move together.
    assert abs(np.corrcoef(mind.z[:n, 0], mind.z[:n, 1])[0, 1]) < 0.05


def test_a_low_temperature_is_sure_of_itself() -> None:
    mind = dreaming(arrays(4, 2, 16, 0), 4, False, False, False, 8, 0.01)
    for row in range(8):
        mind.wake(row, np.zeros(4, np.float32), np.random.default_rng(row))
    rng = np.random.default_rng(0)
    mind.step(np.zeros((8, 2), np.float32), rng.random((8, 4), np.float32),
              rng.standard_normal((8, 4), np.float32))
    assert np.isfinite(mind.z).all()
    assert np.median(mind.z[:8].std(axis=0)) < 0.5


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_must_be_positive(temperature: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        dreaming(arrays(4, 2, 16, 0), 4, False, False, False, 8, temperature)


def test_weights_that_do_not_fit_the_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="no mixtures"):
        dreaming(arrays(4, 2, 16, 1), 4, False, False, False, 8)


def test_bf16_is_close_to_f32() -> None:
    """Fed the same latents, M's state and heads differ by a hundredth of their spread."""
    memory = arrays(32, 3, 256, 2)
    rough, exact = (dreaming(memory, 32, True, True, False, 16, 1.0, precision)
                    for precision in ("bf16", "f32"))
    rng = np.random.default_rng(2)
    for _ in range(50):
        z, actions = rng.standard_normal((16, 32), np.float32), rng.uniform(-1, 1, (16, 3))
        for mind in (rough, exact):
            mind.z[:16] = z
            mind.step(actions.astype(np.float32), np.full((16, 32), 0.5, np.float32),
                      np.zeros((16, 32), np.float32))
    for a, b in ((rough.state["h"], exact.state["h"]), (rough.state["c"], exact.state["c"]),
                 (rough.done, exact.done),
                 (rough.reward, exact.reward)):
        assert a is not None
        assert b is not None
        assert np.sqrt(np.mean((a - b) ** 2)) < 0.01 * np.std(b)


# --- where dreams start and how they end ---

def test_dreams_start_from_first_frames_alone(tmp_path: Path) -> None:
    """A start in the middle of an episode, with a memory of zero, is no start of any episode."""
    rng = np.random.default_rng(0)
    for number in range(4):
        mu = rng.normal(0.0, 1.0, (20, 4)).astype(np.float16)
        mu[0] = 100.0 + number
        save_npz(tmp_path / "latents" / f"held-{number:06d}.npz", {
            "mu": mu, "logvar": np.full((20, 4), -20.0, np.float16),
            "actions": np.zeros((20, 3), np.float32), "rewards": np.zeros(20, np.float32),
            "terminated": np.zeros(20, bool), "truncated": np.zeros(20, bool)})
    starts = load_starts(tmp_path)
    np.testing.assert_array_equal(starts["mu"], np.repeat(100.0 + np.arange(4)[:, None], 4, 1))
    world = DreamWorld(replace(small_dream(), starts=starts), 1)
    seen = set()
    for seed in range(40):
        world.reset(0, seed)
        features = world.features()[0].copy()
        seen.add(round(float(features[0])))
        np.testing.assert_array_equal(features[4:], 0.0)  # h_0 = 0, in a slot that was used
        world.step(np.zeros((1, 3)))
    assert seen == {100, 101, 102, 103}


def test_a_start_is_a_posterior_sample() -> None:
    world = DreamWorld(small_dream(), 1)
    latents = []
    for seed in range(400):
        world.reset(0, seed)
        latents.append(world.latents()[0])
    # mu is 0 and sigma 1 everywhere: the mean alone would have no spread.
    assert np.std(latents) == pytest.approx(1.0, abs=0.1)


def test_no_latents_say_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="worldmodels latents"):
        load_starts(tmp_path)


@pytest.mark.parametrize(("logit", "steps"), [(0.01, 1), (0.0, 1000), (-0.01, 1000), (5.0, 1)])
def test_a_dream_ends_where_the_logit_is_above_zero(logit: float, steps: int) -> None:
    played = play_randomly(small_dream(logit), [1, 2])
    np.testing.assert_array_equal(played.steps, steps)


def test_without_an_ending_head_only_time_ends_a_dream() -> None:
    dream = small_dream(9.0)
    assert isinstance(dream.memory, MdnRnn)
    weights = dream.memory.weights
    memory = MdnRnn(z=4, weights=weights | {"mdn/kernel": weights["mdn/kernel"][:, :60],
                                            "mdn/bias": weights["mdn/bias"][:60]})
    assert play_randomly(replace(dream, memory=memory), [1]).steps[0] == 1000


def test_the_reward_is_one_for_each_time_an_action_is_done_or_the_heads() -> None:
    for dream, reward in ((small_dream(), 1.0), (small_dream(reward=2.5), 2.5),
                          (small_dream(reward=-0.1), -0.1),
                          (replace(small_dream(), game="car_racing@4"), 4.0)):
        world = DreamWorld(dream, 2)
        world.reset(0, 1)
        rewards, dones = world.step(np.zeros((2, 3)))
        np.testing.assert_allclose(rewards, [reward, 0.0], rtol=1e-6)
        assert not dones.any()


def test_noise_goes_on_beyond_what_is_drawn_at_once() -> None:
    world = DreamWorld(small_dream(), 1)
    world.reset(0, 1)
    latents = []
    for _ in range(2 * AHEAD + 3):
        latents.append(world.latents()[0, 0])
        world.step(np.zeros((1, 3)))
    assert len(set(latents)) == len(latents)


def test_a_dream_lacks_the_same_part_of_m_from_its_first_step_to_its_last() -> None:
    """Against Keras's M, fed and read through each dream's own masks."""
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import compiled_mdn_rnn

    B, T, Z, A, share = 5, 4, 6, 2, 0.4
    model = compiled_mdn_rnn(Memory(units=16, done=True), Z, A, seed=1)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0.0, 0.6, variable.shape))
    memory = MdnRnn(weights=weights_of(model), z=Z, done=True)
    mind = memory.dream(B, 1.0, "f32", share)
    kept_z, kept_h = np.zeros((B, Z), np.float32), np.zeros((B, 16), np.float32)
    for row in range(B):
        mind.wake(row, np.full(Z, 0.5, np.float32), np.random.default_rng(row))
        again = np.random.default_rng(row)
        kept_z[row], kept_h[row] = kept(again, share, (Z,)), kept(again, share, (16,))
    np.testing.assert_allclose(np.unique(kept_z), [0.0, 1 / 0.6], rtol=1e-6)
    mind.move(4, 0)  # the dream of row 4 goes on in row 0
    kept_z[0], kept_h[0] = kept_z[4], kept_h[4]
    inputs, dones = np.zeros((B, T, Z + A), np.float32), []
    for t in range(T):
        actions = rng.uniform(-1, 1, (B, A)).astype(np.float32)
        inputs[:, t, :Z], inputs[:, t, Z:] = mind.z[:B] * kept_z, actions
        mind.step(actions, rng.random((B, Z), np.float32), rng.standard_normal((B, Z), np.float32))
        assert mind.done is not None
        dones.append(mind.done[:B].copy())
    expected = np.asarray(model.split(model((inputs, kept_h)))[3])
    np.testing.assert_allclose(np.stack(dones, 1), expected, rtol=1e-4, atol=1e-4)


def test_a_dream_of_a_temperature_of_its_own_is_that_temperatures() -> None:
    """Row by row beside minds that have it in their weights; it moves with its dream."""
    memory, n, Z = arrays(4, 1, 8, 0), 12, 4
    minds = MdnRnn(weights=memory, z=Z, done=False, reward=False, restart_input=False)
    mind, rng = minds.dream(n, 0.8, spread=0.5), np.random.default_rng(2)
    for row in range(n):
        mind.wake(row, np.zeros(Z, np.float32), np.random.default_rng(row))
    mind.move(n - 1, 0)
    factors = [0.5 + np.random.default_rng(row).random(dtype=np.float32) for row in range(n)]
    factors[0] = factors[-1]
    draws = (np.zeros((n, 1), np.float32), rng.random((n, Z), np.float32),
             rng.standard_normal((n, Z), np.float32))
    mind.step(*draws)
    for row, factor in enumerate(factors):
        alone = minds.dream(n, 0.8 * float(factor))
        alone.wake(row, np.zeros(Z, np.float32), np.random.default_rng(0))
        alone.step(*draws)
        np.testing.assert_allclose(mind.z[row], alone.z[row], rtol=1e-4, atol=1e-5)
    assert max(factors) / min(factors) > 2.0


def test_means_are_evaluated_where_c_evolves_unless_told() -> None:
    heads: dict[str, object] = {"memory": {"done": True}}
    for settings, worlds in (({}, ("real", "real")), ({"world": "dream"}, ("dream", "dream")),
                             ({"world": "dream", "select": "real"}, ("dream", "real"))):
        assert check_config(heads | {"evolve": settings}, "x").evolve.worlds == worlds
