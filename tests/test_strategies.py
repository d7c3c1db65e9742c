"""The strategies beside CMA-ES, and what all of them have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from worldmodels_repro.config import load_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.evolution.by_strategy import StrategySearch
from worldmodels_repro.evolution.cma_es import CmaEs
from worldmodels_repro.evolution.players import Players
from worldmodels_repro.evolution.strategies import STRATEGIES, Strategy, load_spread
from worldmodels_repro.sections import CLIMBING, EVOLVED, Evolve, Evolved
from worldmodels_repro.storage import load_npz, save_npz
from worldmodels_repro.worlds.episodes import Played


def _evolve(strategy: Strategy, generations: int) -> np.ndarray:
    for _ in range(generations):
        candidates = strategy.ask()
        strategy.tell(candidates, -((candidates - 0.3) ** 2).sum(axis=1))
    return candidates


def _climber(by: Evolved, n: int, population: int, seed: int, **settings: Any) -> Strategy:
    return STRATEGIES[by](np.zeros(n), 0.1, Evolve(population=population, **settings), seed)


@pytest.mark.parametrize("by", CLIMBING)
def test_a_climber_goes_on_as_if_it_had_never_stopped(tmp_path: Path, by: Evolved) -> None:
    whole = _climber(by, 40, 16, seed=1)
    _evolve(whole, 7)
    save_npz(tmp_path / "strategy.npz", whole.state(), level=0)
    resumed = _climber(by, 40, 16, seed=2)
    resumed.restore(load_npz(tmp_path / "strategy.npz"), "strategy.npz")
    np.testing.assert_array_equal(_evolve(whole, 20), _evolve(resumed, 20))
    np.testing.assert_array_equal(whole.mean, resumed.mean)
    for state in ({}, _climber(by, 41, 16, seed=1).state(), CmaEs(np.zeros(40), 0.1, 8, 1).state()):
        with pytest.raises(UserError, match=r"^x\.npz is not the state"):
            resumed.restore(state, "x.npz")
    np.testing.assert_array_equal(whole.mean, resumed.mean)


@pytest.mark.parametrize("by", CLIMBING)
def test_a_climber_climbs_whatever_fails_and_scales(by: Evolved) -> None:
    strategy = _climber(by, 10, 16, seed=3, learning_rate=0.02)
    rng = np.random.default_rng(0)
    for _ in range(150):
        candidates = strategy.ask()
        fitness = -1e6 * ((candidates - 0.3) ** 2).sum(axis=1)
        fitness[rng.integers(16)] = np.nan
        strategy.tell(candidates, fitness)
    np.testing.assert_allclose(strategy.mean, 0.3, atol=0.1)
    with pytest.raises(ValueError, match="every candidate"):
        strategy.tell(candidates, np.full(16, np.nan))


def test_a_climbers_first_step_is_that_of_its_formula() -> None:
    """Candidates in pairs; ranks from -1/2 to 1/2; Adam's first step is the gradient's sign."""
    strategies = [_climber(by, 6, 8, seed=5, learning_rate=0.03) for by in CLIMBING]
    asked = [strategy.ask() for strategy in strategies]
    np.testing.assert_array_equal(asked[0], asked[1])
    np.testing.assert_allclose(asked[0][:4], -asked[0][4:])
    ranks = np.array([3, 0, 7, 1, 2, 6, 5, 4])
    for strategy, candidates in zip(strategies, asked, strict=True):
        strategy.tell(candidates, 10.0 ** ranks)
    shaped, drawn = ranks / 7 - 0.5, asked[0] / 0.1
    gradient = sum(s * d for s, d in zip(shaped, drawn, strict=True)) / (8 * 0.1)
    for strategy in strategies:
        np.testing.assert_allclose(strategy.mean, 0.03 * np.sign(gradient), atol=1e-6)
    steady, widened = (strategy.state()["widths"] for strategy in strategies)
    np.testing.assert_array_equal(steady, np.full(6, 0.1))
    curve = sum(s * (d**2 - 1) for s, d in zip(shaped, drawn, strict=True)) / 8
    np.testing.assert_allclose(widened, 0.1 * np.exp(0.5 * curve))


@pytest.mark.parametrize("by", EVOLVED)
def test_the_step_size_decays_as_asked(by: Evolved) -> None:
    class Even:
        """Players to whom all candidates are alike but for the order that they come in."""

        def play(self, controllers: np.ndarray, driver: np.ndarray, seeds: list[int],
                 max_steps: int, patience: int) -> Played:
            return Played(driver.astype(float), np.ones(len(seeds), int))

    sigmas = []
    for decay in (1.0, 0.5):
        settings = Evolve(population=8, rollouts=2, sigma=0.3, sigma_decay=decay)
        search = StrategySearch(by, np.zeros(4), settings, 3, None)
        row = search.generation(cast(Players, Even()), None, 1, 1)
        assert row["sigma"] == pytest.approx(0.3)
        sigmas.append(search.strategy.sigma)
    assert sigmas[1] == pytest.approx(sigmas[0] / 2)
    asked = np.concatenate([search.strategy.ask() for _ in range(500)])
    assert np.std(asked - search.strategy.mean) == pytest.approx(sigmas[1], rel=0.05)


@pytest.mark.parametrize("by", CLIMBING)
def test_where_a_climber_had_come_to_is_known(tmp_path: Path, by: Evolved) -> None:
    strategy = _climber(by, 5, 8, seed=1)
    _evolve(strategy, 3)
    save_npz(tmp_path / "evolve" / "strategy.npz", strategy.state())
    there = load_spread(tmp_path)
    np.testing.assert_array_equal(there.mean, strategy.mean)
    np.testing.assert_array_equal(np.diag(there.root), strategy.state()["widths"])


@pytest.mark.parametrize(("words", "said"), [
    (["controller.by=open_es", "evolve.population=7"], "an even evolve.population"),
    (["controller.by=pgpe", "memory.done=true", "controller.mirror=false", "evolve.sift=2"],
     "evolve.sift=1"),
    (["evolve.learning_rate=0.1"], "evolve.learning_rate is open_es's and pgpe's")])
def test_what_a_strategy_can_t_do_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_config("quick", words)
