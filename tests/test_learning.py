"""Replay, exploration, DQN and TD3 against their definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from worldmodels_repro.errors import UserError
from worldmodels_repro.learning.chunks import Chunks
from worldmodels_repro.learning.explore import chosen, epsilon, noisy, softmax_shares
from worldmodels_repro.learning.replay import Fifo, Retention, SumTree
from worldmodels_repro.models.network import Activation, Kind, Network
from worldmodels_repro.sections import Learn

WIDTH = 3


def _rows(first: int, count: int) -> np.ndarray:
    """Rows that say which transition they are."""
    return np.repeat(np.arange(first, first + count, dtype=np.float32)[:, None], WIDTH, axis=1)


def _fill(memory: Any, count: int, first: int = 0) -> None:
    for number, row in enumerate(_rows(first, count), start=first):
        memory.add(row, number)


# --- replay ---

def test_a_sum_tree_finds_what_running_sums_find() -> None:
    rng = np.random.default_rng(1)
    priorities, tree = rng.random(37), SumTree(37)
    tree[np.arange(37)] = priorities
    assert tree.total == pytest.approx(priorities.sum())
    sums = rng.random(1000) * tree.total
    np.testing.assert_array_equal(tree.find(sums),
                                  np.searchsorted(np.cumsum(priorities), sums, "right"))


def test_a_sum_tree_made_anew_is_the_same_to_the_bit() -> None:
    rng, tree, again = np.random.default_rng(2), SumTree(100), SumTree(100)
    for _ in range(50):
        tree[rng.integers(0, 100, 8)] = rng.random(8)
    again[np.arange(100)] = tree[np.arange(100)]
    np.testing.assert_array_equal(again._nodes, tree._nodes)


def test_alpha_zero_is_uniform_to_the_bit() -> None:
    """A tree whose priorities are all p^0 = 1 draws what no tree draws, and all weigh 1."""
    plain, tree = Fifo(1000, WIDTH), Fifo(1000, WIDTH, alpha=1.0, beta=0.7)
    for memory in (plain, tree):
        _fill(memory, 777)
    tree._alpha = 0.0
    errors = np.random.default_rng(3).random(777)
    tree.learnt(tree.draw(777, np.random.default_rng(4)), errors)
    tree._tree[np.arange(777)] = (errors + 1e-6) ** 0.0  # type: ignore[index]
    ours, theirs = (memory.draw(5000, np.random.default_rng(5)) for memory in (tree, plain))
    np.testing.assert_array_equal(ours.slots, theirs.slots)
    np.testing.assert_array_equal(ours.weights, theirs.weights)
    assert (theirs.weights == 1.0).all() and len(np.unique(theirs.slots)) > 700


@pytest.mark.parametrize("alpha", [0.2, 0.8])
def test_transitions_are_drawn_in_proportion_to_their_errors(alpha: float) -> None:
    memory, errors = Fifo(16, WIDTH, alpha, beta=0.5), np.linspace(0.1, 5.0, 16)
    _fill(memory, 16)
    every = memory.at((np.arange(16) + 0.5) / 16)  # equal priorities: each slot once
    assert sorted(every.slots) == list(range(16))
    memory.learnt(every, errors[every.slots])
    drawn = memory.draw(100_000, np.random.default_rng(6))
    shares = (errors + 1e-6) ** alpha
    expected = shares / shares.sum() * 100_000
    found = np.bincount(drawn.slots, minlength=16)
    assert stats.chisquare(found, expected).pvalue > 0.01
    assert stats.chisquare(found).pvalue < 1e-6  # and that is not uniform


def test_importance_weights_are_those_of_the_paper() -> None:
    memory, errors = Fifo(8, WIDTH, 0.6, beta=0.5), np.arange(1.0, 9.0)
    _fill(memory, 8)
    every = memory.at((np.arange(8) + 0.5) / 8)
    memory.learnt(every, errors[every.slots])
    drawn = memory.draw(64, np.random.default_rng(7))
    chance = (errors + 1e-6) ** 0.6 / ((errors + 1e-6) ** 0.6).sum()
    weights = (8 * chance[drawn.slots]) ** -0.5
    np.testing.assert_allclose(drawn.weights, weights / weights.max(), rtol=1e-6)
    assert drawn.weights.max() == 1.0


def test_the_oldest_is_forgotten_and_the_new_is_drawn_as_the_largest_error() -> None:
    memory = Fifo(4, WIDTH, alpha=1.0)
    _fill(memory, 4)
    every = memory.at((np.arange(4) + 0.5) / 4)
    memory.learnt(every, np.array([3.0, 1.0, 1.0, 1.0]))
    _fill(memory, 2, first=4)
    np.testing.assert_array_equal(memory.rows[:, 0], [4, 5, 2, 3])
    np.testing.assert_allclose(memory.state()["priorities"], [3.0, 3.0, 1.0, 1.0], rtol=1e-5)


def test_retention_overwrites_what_the_policy_would_do_again() -> None:
    """A is first in, first out; B loses its lowest scores, the oldest of equal ones first."""
    memory = Retention(8, WIDTH, 0.0, 0.0, omega=0.5)
    scores = {0: 5.0, 1: 0.5, 2: 3.0, 3: 0.5, 4: 9.0, 5: 0.0, 6: 0.0}

    def of(rows: np.ndarray) -> np.ndarray:
        return np.array([scores[int(number)] for number in rows[:, 0]])

    _fill(memory, 4)
    memory.end_episode(of)
    np.testing.assert_array_equal(memory.b.numbers(), [0, 1, 2, 3])
    _fill(memory, 1, first=4)
    memory.end_episode(of)
    np.testing.assert_array_equal(memory.b.numbers(), [0, 4, 2, 3])  # 1, not 3 of the same score
    np.testing.assert_array_equal(memory.a.numbers(), [4, 1, 2, 3])
    _fill(memory, 2, first=5)
    memory.end_episode(of)
    np.testing.assert_array_equal(memory.b.numbers(), [0, 4, 6, 5])  # 3, then 2
    np.testing.assert_array_equal(memory.b.rows[:, 0], [0, 4, 6, 5])
    np.testing.assert_array_equal(memory.a.numbers(), [4, 5, 6, 3])


def test_retention_keeps_the_end_of_an_episode_that_is_too_long() -> None:
    memory = Retention(6, WIDTH, 0.0, 0.0, omega=0.5)
    _fill(memory, 7)
    memory.end_episode(lambda rows: np.zeros(len(rows)))
    assert sorted(memory.b.numbers()) == [4, 5, 6]


@pytest.mark.parametrize("omega", [0.3, 1.0])
def test_omega_is_how_often_a_is_drawn_from(omega: float) -> None:
    memory = Retention(20, WIDTH, 0.0, 0.0, omega)
    _fill(memory, 10)
    memory.end_episode(lambda rows: np.zeros(len(rows)))
    drawn = memory.draw(20_000, np.random.default_rng(8))
    assert (drawn.slots < 10).mean() == pytest.approx(omega, abs=0.015)
    np.testing.assert_array_equal(drawn.rows[:, 0], np.concatenate(
        [memory.a.held, memory.b.held])[drawn.slots])


def _two(kind: str) -> tuple[Any, Any]:
    if kind == "fifo":
        return Fifo(64, WIDTH, 0.6, 0.4), Fifo(64, WIDTH, 0.6, 0.4)
    return Retention(64, WIDTH, 0.6, 0.4, 0.5), Retention(64, WIDTH, 0.6, 0.4, 0.5)


@pytest.mark.parametrize("kind", ["fifo", "retention"])
def test_a_memory_that_was_kept_goes_on_to_the_bit(tmp_path: Path, kind: str) -> None:
    memory, again = _two(kind)
    chunks = Chunks(tmp_path, WIDTH)
    rng = np.random.default_rng(9)

    def learn(memory: Any, rng: np.random.Generator) -> np.ndarray:
        drawn = memory.draw(16, rng)
        memory.learnt(drawn, np.abs(drawn.rows[:, 0]) % 7)
        return np.concatenate([drawn.rows.ravel(), drawn.weights])

    first = 0
    for _ in range(12):  # 180 transitions through 64 slots
        rows = _rows(first, 15)
        for number, row in enumerate(rows, start=first):
            memory.add(row, number)
            chunks.add(row)
        first += 15
        memory.end_episode(lambda rows: rows[:, 0] % 11)
        learn(memory, rng)
        chunks.write()
        chunks.forget(memory.numbers())
    state = memory.state()
    after = Chunks(tmp_path, WIDTH)
    again.restore(state, after.rows)
    after.go_on(first, again.numbers())
    for _ in range(3):
        np.testing.assert_array_equal(learn(memory, np.random.default_rng(10)),
                                      learn(again, np.random.default_rng(10)))
    if kind == "fifo":
        assert len(list(tmp_path.glob("*.npz"))) <= 6  # 64 slots, and those of the one before


def test_chunks_that_are_lost_are_named(tmp_path: Path) -> None:
    chunks = Chunks(tmp_path / "memory", WIDTH)
    for row in _rows(0, 5):
        chunks.add(row)
    chunks.write()
    with pytest.raises(UserError, match="lacks 1 transitions"):
        chunks.rows(np.array([3, 5]))


# --- exploration ---

def test_epsilon_falls_in_a_straight_line() -> None:
    shares = [epsilon(1.0, 0.1, 100, step) for step in (0, 50, 100, 1000)]
    assert shares == pytest.approx([1.0, 0.55, 0.1, 0.1])


def test_choices_are_random_as_often_as_asked() -> None:
    values, rng = np.array([0.0, 2.0, 1.0], np.float32), np.random.default_rng(11)
    picks = np.array([chosen(values, 0.3, None, rng) for _ in range(10_000)])
    assert (picks == 1).mean() == pytest.approx(0.7 + 0.1, abs=0.015)
    assert (picks == 0).mean() == pytest.approx(0.1, abs=0.015)


def test_softmax_draws_in_proportion_to_exp_beta_q() -> None:
    values, rng = np.array([0.0, 1.0, 2.0], np.float32), np.random.default_rng(12)
    expected = np.exp(0.5 * values) / np.exp(0.5 * values).sum()
    np.testing.assert_allclose(softmax_shares(values, 0.5), expected, rtol=1e-6)
    np.testing.assert_allclose(softmax_shares(values, 0.0), 1 / 3)
    found = np.bincount([chosen(values, 0.0, 0.5, rng) for _ in range(20_000)])
    assert stats.chisquare(found, expected * 20_000).pvalue > 0.01


def test_noise_stays_in_range() -> None:
    actions = np.stack([noisy(np.array([0.9, 0.0]), 0.2, np.random.default_rng(k))
                        for k in range(2000)])
    assert actions.max() <= 1.0 and actions[:, 0].max() == 1.0
    assert actions[:, 1].std() == pytest.approx(0.2, rel=0.1)


# --- networks: NumPy and Keras ---

@pytest.mark.parametrize(("kind", "activation", "dueling"), [
    ("values", "relu", False), ("values", "tanh", True), ("actions", "relu", False)])
def test_numpy_acts_as_keras_does(kind: Kind, activation: Activation, dueling: bool) -> None:
    from worldmodels_repro.learning.learner import flat, keras_network

    network = Network(features=5, outputs=3, hidden=(16, 8), kind=kind, activation=activation,
                      dueling=dueling)
    model = keras_network(network)
    weights = np.asarray(flat(model))
    assert weights.shape == (network.weights,) == (model.count_params(),)
    seen = np.random.default_rng(13).normal(size=(7, 5)).astype(np.float32)
    every = network.act(np.repeat(weights[None], 7, axis=0), seen)
    np.testing.assert_allclose(every, np.asarray(model(seen)), atol=1e-5)
    np.testing.assert_allclose(network.act(weights[None], seen), every, atol=1e-5)
    alone = network.act(np.repeat(weights[None], 2, axis=0), seen[:2])
    np.testing.assert_array_equal(every[:2], alone)


def test_dueling_is_value_and_advantage() -> None:
    from worldmodels_repro.learning.learner import dueling

    outputs = np.array([[2.0, 1.0, 4.0]], np.float32)  # V 2, A 1 and 4
    np.testing.assert_allclose(np.asarray(dueling(outputs)), [[0.5, 3.5]])


# --- targets ---

def test_double_q_is_chosen_by_one_and_valued_by_the_other() -> None:
    from worldmodels_repro.learning.dqn import huber, of_choice, q_target

    rewards, ended = np.array([1.0, 1.0], np.float32), np.array([0.0, 1.0], np.float32)
    online = np.array([[3.0, 1.0], [0.0, 1.0]], np.float32)
    target = np.array([[10.0, 20.0], [5.0, 6.0]], np.float32)
    double = np.asarray(q_target(rewards, ended, 0.5, online, target))
    np.testing.assert_allclose(double, [1.0 + 0.5 * 10.0, 1.0])
    single = np.asarray(q_target(rewards, ended, 0.5, None, target))
    np.testing.assert_allclose(single, [1.0 + 0.5 * 20.0, 1.0])
    np.testing.assert_allclose(np.asarray(of_choice(target, np.array([1, 0]))), [20.0, 5.0])
    np.testing.assert_allclose(np.asarray(huber(np.array([-0.5, 3.0], np.float32))), [0.125, 2.5])


def test_td3s_targets_are_those_of_the_paper() -> None:
    from worldmodels_repro.learning.td3 import averaged, smoothed, value_target

    actions = np.array([[0.0, 0.9, -0.9]], np.float32)
    noise = np.array([[1.0, 10.0, -10.0]], np.float32)
    # 0.2; 0.9 + 0.5 and -0.9 - 0.5 out of range
    np.testing.assert_allclose(np.asarray(smoothed(actions, noise, 0.2, 0.5)), [[0.2, 1.0, -1.0]])
    np.testing.assert_allclose(
        np.asarray(smoothed(0.0 * actions, noise, 0.2, 0.5)), [[0.2, 0.5, -0.5]])
    column = np.array([[1.0], [1.0]], np.float32)
    ended, first, second = (np.array([[upper], [lower]], np.float32)
                            for upper, lower in ((0.0, 1.0), (5.0, 5.0), (4.0, 6.0)))
    target = value_target(column, ended, 0.9, first, second)
    np.testing.assert_allclose(np.asarray(target), [[1.0 + 0.9 * 4.0], [1.0]])
    assert averaged(2.0, 1.0, 0.995) == pytest.approx(1.995)


def test_dqn_learns_the_values_of_a_chain() -> None:
    """One state that goes on and one that ends: Q is r, and r + gamma r."""
    from worldmodels_repro.learning.dqn import DQN

    settings = Learn(gamma=0.5, learning_rate=0.01, batch=16, layers=(16,))
    learner = DQN(Network(features=2, outputs=2, hidden=(16,)), settings, seed=1)
    memory = Fifo(16, learner.columns.width)
    first, second = np.eye(2, dtype=np.float32)
    for choice in (0, 1):
        # first -> second whatever is done; second ends, for 1 or 3
        memory.add(np.concatenate([first, [choice, 1.0], second, [0.0]]), choice)
        memory.add(np.concatenate([second, [choice, 1.0 + 2.0 * choice], first, [1.0]]), 2 + choice)
    rng = np.random.default_rng(14)
    for _ in range(20):
        learner.update(memory, 60, rng)
        learner.renew_target()
    values = learner._network.act(learner.policy, np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(values, [[2.5, 2.5], [1.0, 3.0]], atol=0.1)
    scores = learner.scores(memory.rows[:4])
    np.testing.assert_array_equal(scores[[1, 3]], [2.0, 0.0])  # second: 1 is best


@pytest.mark.parametrize("times", [3, pytest.param(120, marks=pytest.mark.slow)])
def test_td3_learns_as_many_updates_in_blocks_as_one_by_one(times: int) -> None:
    from worldmodels_repro.learning.td3 import TD3

    settings = Learn(batch=8, layers=(8,), learning_rate=0.01)
    network = Network(features=2, outputs=1, hidden=(8,), kind="actions")
    policies = []
    for parts in ([times], [1] * times):
        learner, memory = TD3(network, settings, seed=2), Fifo(32, 7)
        rows = np.random.default_rng(15).normal(size=(32, 7)).astype(np.float32)
        rows[:, -1] = 0.0
        for number, row in enumerate(rows):
            memory.add(row, number)
        before = learner.policy.copy()
        for number, part in enumerate(parts):
            # The same batches either way: of equal draws.
            learner.update(_Same(memory), part, _Zeros(number))  # type: ignore[arg-type]
        assert (learner.policy != before).any()
        policies.append(learner.policy)
    np.testing.assert_allclose(policies[0], policies[1], atol=1e-4)


class _Same:
    """Always the same batch."""

    def __init__(self, memory: Fifo):
        self._memory = memory

    def draw(self, batch: int, rng: Any) -> Any:
        return self._memory.draw(batch, np.random.default_rng(16))


class _Zeros:
    def __init__(self, number: int):
        pass

    def standard_normal(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.zeros(shape, dtype)
