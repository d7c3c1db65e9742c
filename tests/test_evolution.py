"""The strategy, the pool and the loop that plays: exact, and indifferent to who computes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from worldmodels_repro import pool
from worldmodels_repro.errors import UserError
from worldmodels_repro.evolution.by_strategy import StrategySearch
from worldmodels_repro.evolution.cma_es import CmaEs, spread
from worldmodels_repro.pool import Pool
from worldmodels_repro.sections import Evolve
from worldmodels_repro.storage import Arrays, load_npz, save_npz
from worldmodels_repro.worlds.agent import Spread
from worldmodels_repro.worlds.episodes import play


def _evolve(strategy: CmaEs, generations: int) -> np.ndarray:
    for _ in range(generations):
        candidates = strategy.ask()
        strategy.tell(candidates, -((candidates - 0.3) ** 2).sum(axis=1))
    return candidates


@pytest.mark.parametrize("generations", [1, 2, 23])
@pytest.mark.parametrize(("n", "population", "diagonal"), [
    (12, 4, False), (12, 16, True), (40, 5, True), (300, 16, False),
])
def test_a_restored_strategy_asks_for_the_same_candidates(
        tmp_path: Path, n: int, population: int, diagonal: bool, generations: int) -> None:
    whole = CmaEs(np.zeros(n), 0.1, population, seed=1, diagonal=diagonal)
    _evolve(whole, generations)
    save_npz(tmp_path / "strategy.npz", whole.state(), level=0)
    resumed = CmaEs(np.zeros(n), 0.1, population, seed=2, diagonal=diagonal)
    resumed.restore(load_npz(tmp_path / "strategy.npz"), "strategy.npz")
    np.testing.assert_array_equal(_evolve(whole, 20), _evolve(resumed, 20))
    np.testing.assert_array_equal(whole.mean, resumed.mean)


@pytest.mark.parametrize("diagonal", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_candidates_elsewhere_are_those_that_it_would_ask_for(diagonal: bool) -> None:
    strategy = CmaEs(np.zeros(6), 0.5, 12, seed=4, diagonal=diagonal)
    for _ in range(30):  # a long ellipse, so that the covariance says something
        asked = strategy.ask()
        strategy.tell(asked, -((asked * np.array([1, 3, 1, 1, 9, 1])) ** 2).sum(axis=1))
    there, rng = spread(strategy.state(), "strategy.npz"), np.random.default_rng(0)
    drawn = there.candidates(rng.standard_normal((20_000, 6)))
    asked = np.concatenate([strategy.ask() for _ in range(1700)])
    np.testing.assert_allclose(drawn.mean(0), strategy.mean, atol=4 * drawn.std() / 20_000 ** 0.5)
    scale = np.sqrt(np.outer(asked.var(0), asked.var(0)))
    np.testing.assert_allclose(np.cov(drawn.T) / scale, np.cov(asked.T) / scale, atol=0.06)
    with pytest.raises(UserError, match=r"strategy\.npz"):
        spread({"plain": np.zeros(3, np.uint8)}, "strategy.npz")


def test_a_search_starts_where_another_had_come_to() -> None:
    root = np.tril(np.random.default_rng(1).normal(size=(5, 5)))
    wide = Spread(np.arange(5.0), root).wide(0.2)
    settings = Evolve(sigma=0.2, population=20)
    search = StrategySearch("cma_es", np.zeros(5), settings, 3, wide)
    np.testing.assert_array_equal(search.weights(search.strategy.mean), np.arange(5.0))
    drawn = search.weights(np.concatenate([search.strategy.ask() for _ in range(500)]))
    expected = root @ root.T * 0.2**2 / np.mean(np.diag(root @ root.T))
    np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.08 * np.abs(expected).max())
    assert np.sqrt(drawn.var(0).mean()) == pytest.approx(0.2, rel=0.03)


def test_pools_in_the_same_ranks_are_prepared_in_any_order(
        monkeypatch: pytest.MonkeyPatch) -> None:
    there: dict[int, Any] = {0: abs}
    monkeypatch.setattr(pool, "_workers", there)
    pool._prepare(2, lambda: str, frozenset({1, 2}))  # pool 0 is closed, pool 1 not yet here
    pool._prepare(1, lambda: int, frozenset({1}))
    assert there == {1: int, 2: str}


def test_fitness_is_the_mean_of_the_worst_share() -> None:
    returns = np.array([[4.0, 1.0, 3.0, 100.0], [2.0, 2.0, 2.0, 2.0]])
    worst = {share: StrategySearch("cma_es", np.zeros(3), Evolve(worst=share), 1, None)
             .fitness(returns).tolist() for share in (0.25, 0.3, 0.5, 1.0)}
    assert worst == {0.25: [1.0, 2.0], 0.3: [2.0, 2.0], 0.5: [2.0, 2.0], 1.0: [27.0, 2.0]}


def test_a_foreign_state_is_refused() -> None:
    strategy = CmaEs(np.zeros(5), 0.1, 8, seed=1)
    _evolve(strategy, 2)
    with pytest.raises(UserError, match=r"strategy\.npz"):
        CmaEs(np.zeros(6), 0.1, 8, seed=1).restore(strategy.state(), "strategy.npz")
    with pytest.raises(UserError, match=r"strategy\.npz"):
        strategy.restore({"plain": np.zeros(3, np.uint8)}, "strategy.npz")


def _changed(state: Arrays, without: str = "", **changes: Any) -> Arrays:
    """The state with other plain values."""
    plain = json.loads(state["plain"].tobytes()) | changes
    plain.pop(without, None)
    return {**state, "plain": np.frombuffer(json.dumps(plain).encode(), np.uint8)}


def test_the_state_of_another_pycma_is_refused_and_nothing_is_set() -> None:
    strategy = CmaEs(np.zeros(5), 0.1, 8, seed=1)
    _evolve(strategy, 2)
    state = strategy.state()
    for change, words in (({"cma": "4.4.4"}, "pip install cma==4.4.4"),
                          ({"without": "es.sigma"}, "lacks es.sigma"),
                          ({"es.new": 3.0}, "also holds es.new")):
        other = CmaEs(np.zeros(5), 0.1, 8, seed=2)
        with pytest.raises(UserError, match=r"x\.npz") as raised:
            other.restore(_changed(state, **change), "x.npz")
        assert words in str(raised.value) and "\n" not in str(raised.value)
        assert "remove the evolve folder" in str(raised.value)
        assert (other.sigma != strategy.sigma) and not hasattr(other._cma, "new")


def test_a_state_that_does_not_say_which_pycma_wrote_it_is_taken() -> None:
    strategy = CmaEs(np.zeros(5), 0.1, 8, seed=1)
    _evolve(strategy, 2)
    other = CmaEs(np.zeros(5), 0.1, 8, seed=2)
    other.restore(_changed(strategy.state(), without="cma"), "x.npz")
    np.testing.assert_array_equal(_evolve(strategy, 5), _evolve(other, 5))


def test_the_strategy_is_the_same_on_any_number_of_cores() -> None:
    def evolved(threads: int) -> np.ndarray:
        strategy = CmaEs(np.zeros(195), 0.1, 4, seed=1)
        with threadpool_limits(threads, "blas"):
            for _ in range(30):
                candidates = strategy.ask()
                strategy.tell(candidates, -np.abs(candidates - 0.3).sum(axis=1))
        return strategy.mean

    np.testing.assert_array_equal(evolved(1), evolved(2))


def test_the_strategy_climbs() -> None:
    strategy = CmaEs(np.zeros(10), 0.1, 16, seed=3)
    _evolve(strategy, 60)
    np.testing.assert_allclose(strategy.mean, 0.3, atol=0.05)


def test_the_strategy_leaves_numpys_global_state_alone() -> None:
    np.random.seed(7)  # noqa: NPY002 - the global state is what is tested
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    _evolve(CmaEs(np.zeros(4), 0.1, 8, seed=1), 3)
    assert np.random.random() == expected  # noqa: NPY002


def test_failed_candidates_rank_last() -> None:
    strategy = CmaEs(np.zeros(4), 0.1, 8, seed=4)
    for _ in range(40):
        candidates = strategy.ask()
        fitness = -((candidates - 0.3) ** 2).sum(axis=1)
        fitness[0] = np.nan
        strategy.tell(candidates, fitness)
    np.testing.assert_allclose(strategy.mean, 0.3, atol=0.1)
    with pytest.raises(ValueError, match="every candidate"):
        strategy.tell(strategy.ask(), np.full(8, np.nan))


class Corridor:
    """A world for tests: features are the position, reward is the action while it lasts."""

    def __init__(self, slots: int):
        self.slots = slots
        self.position, self.length = np.zeros((slots, 1), np.float32), np.zeros(slots)
        self.live = np.zeros(slots, bool)

    def reset(self, slot: int, seed: int) -> None:
        self.position[slot], self.length[slot], self.live[slot] = 0.0, seed, True

    def rest(self, slot: int) -> None:
        self.live[slot] = False

    def features(self) -> np.ndarray:
        return self.position

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.position += 1.0
        return np.sign(actions[:, 0]) * 1.0, self.position[:, 0] >= self.length


FORWARD, BACKWARD = 1.0, -1.0


class Walker:
    """Each episode one way."""

    def __init__(self, ways: list[float], slots: int):
        self.ways, self.actions = ways, np.zeros((slots, 1))

    def reset(self, slot: int, seed: int, episode: int) -> None:
        self.actions[slot] = self.ways[episode]

    def act(self, observations: np.ndarray) -> np.ndarray:
        return self.actions


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_every_episode_is_played_to_its_own_end(slots: int) -> None:
    seeds = [5, 1, 9, 2, 7]
    ways = [FORWARD, BACKWARD, FORWARD, FORWARD, BACKWARD]
    played = play(Corridor(slots), Walker(ways, slots), seeds, max_steps=8)
    np.testing.assert_array_equal(played.steps, [5, 1, 8, 2, 7])
    np.testing.assert_array_equal(played.returns, [5, -1, 8, 2, -7])


def test_a_given_up_episode_is_charged_for_the_rest_of_its_time() -> None:
    walker = Walker([BACKWARD, FORWARD], 2)
    played = play(Corridor(2), walker, [100, 100], max_steps=50, patience=10)
    np.testing.assert_array_equal(played.steps, [10, 50])
    np.testing.assert_array_equal(played.returns, [-50, 50])


def _square(x: int) -> int:
    return x * x


def _always(work: Callable[[Any], Any]) -> Callable[[], Callable[[Any], Any]]:
    """Makes workers that do this."""
    return partial(_same, work)


def _same(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return work


def _fail(x: int) -> int:
    raise ZeroDivisionError(f"task {x}")


def _die_once(marker: str) -> str:
    path = Path(marker)
    if path.suffix == ".dies" and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return marker


def test_results_come_in_the_tasks_order() -> None:
    with Pool(_always(_square), 2) as pool:
        assert list(pool.map(range(20))) == [x * x for x in range(20)]


def test_a_killed_worker_is_replaced_and_its_tasks_done_again(tmp_path: Path) -> None:
    tasks = [str(tmp_path / name) for name in ("a", "b.dies", "c", "d", "e.dies", "f")]
    with Pool(_always(_die_once), 2) as pool:
        assert list(pool.map(tasks)) == tasks


def _hang_once(marker: str) -> str:
    path = Path(marker)
    if path.suffix == ".hangs" and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return marker


def _hang(marker: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def test_a_hung_worker_is_replaced_and_its_tasks_done_again(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [str(tmp_path / name) for name in ("a", "b.hangs", "c", "d")]
    with Pool(_always(_hang_once), 2, hang_after=10.0) as pool:
        assert list(pool.map(tasks)) == tasks
    assert "no worker has finished a task for 10 s" in capsys.readouterr().err


def test_workers_that_hang_again_and_again_end_the_run() -> None:
    with (Pool(_always(_hang), 1, hang_after=1.0) as pool,
          pytest.raises(UserError, match=r"3 times over.*evolve\.hang_after")):
        list(pool.map(["a"]))


def test_an_error_in_a_task_reaches_the_parent() -> None:
    with Pool(_always(_fail), 2) as pool, pytest.raises(ZeroDivisionError, match="task 3"):
        list(pool.map([3]))


def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = ("import os, time\n"
               "from test_evolution import Pool, _always, _say_pid\n"
               "if __name__ == '__main__':\n"
               "    pool = Pool(_always(_say_pid), 1)\n"
               "    print(next(pool.map([0])), flush=True)\n"
               "    time.sleep(60)\n")
    (tmp_path / "parent.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")],
                              stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


def _say_pid(task: int) -> int:
    return os.getpid()
