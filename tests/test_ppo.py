"""PPO on the paper's C: its formulas, and the stage evolve with it through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, killed_after

from worldmodels_repro.cli import main
from worldmodels_repro.config import load_config
from worldmodels_repro.evolution.players import Players, WorldSpec
from worldmodels_repro.evolution.practice import Practice, practise
from worldmodels_repro.learning.advantages import advantages_of
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.sections import Evolve, Ppo
from worldmodels_repro.storage import load_csv, load_json, load_json_lines, load_npz
from worldmodels_repro.worlds.agent import Body, load_body
from worldmodels_repro.worlds.dream import load_dream

TINY_PPO = TINY.with_name("tiny_ppo.yaml")


def test_advantages_are_the_sums_of_the_paper() -> None:
    rng, gamma, trace = np.random.default_rng(0), 0.9, 0.8
    lengths, ended = np.array([5, 1, 3, 1]), np.array([True, False, False, True])
    rewards, values = rng.normal(size=10), rng.normal(size=10)
    advantages, targets, usable = advantages_of(rewards, values, lengths, ended, gamma, trace)
    expected = np.zeros(10)
    for first, length, by_itself in zip([0, 5, 6, 9], lengths, ended, strict=True):
        # Where an episode was cut, its last state is worth what it is thought to be.
        steps = length if by_itself else length - 1
        worth = [*values[first:first + length], 0.0]
        deltas = [rewards[first + t] + gamma * worth[t + 1] - worth[t] for t in range(steps)]
        for t in range(steps):
            expected[first + t] = sum((gamma * trace)**k * deltas[t + k] for k in range(steps - t))
    np.testing.assert_allclose(advantages, expected, rtol=1e-5)
    np.testing.assert_allclose(targets, expected + values, rtol=1e-5)
    assert usable.tolist() == [0, 1, 2, 3, 4, 6, 7, 9]


def test_what_moved_far_enough_is_not_moved_on() -> None:
    from worldmodels_repro.learning.ppo import clipped_loss

    ratio, gain = np.array([1.5, 0.5, 1.5, 0.5, 1.1]), np.array([1.0, 1.0, -1.0, -1.0, 2.0])
    # min(r A, clip(r) A): gains beyond 1.2 and losses below 0.8 count no further.
    expected = -np.mean([1.2, 0.5, -1.5, -0.8, 2.2])
    assert float(clipped_loss(np.log(ratio), gain, 0.2)) == pytest.approx(expected, rel=1e-6)


class _Target:
    """Plays one-step episodes: what is seen s in [-1, 1] twice, rewarded for u near 2 s - 0.5."""

    def practise(self, weights: np.ndarray, sigma: np.ndarray, seeds: list[int], max_steps: int,
                 patience: int = 0) -> Practice:
        rng = np.random.default_rng(seeds)
        seen = rng.uniform(-1, 1, (len(seeds), 2)).astype(np.float16)
        outputs = SHAPE.before_tanh(np.tile(weights, (len(seeds), 1)), seen.astype(np.float32))
        outputs += sigma * rng.standard_normal(outputs.shape)
        rewards = -(outputs[:, 0] - 2.0 * seen[:, 0] + 0.5)**2
        ones = np.ones(len(seeds), int)
        return Practice(rewards, ones, seen, outputs.astype(np.float32),
                        rewards.astype(np.float32), ones > 0)


SHAPE = ControllerShape(2, 1)


def _search(seed: int = 1) -> Any:
    from worldmodels_repro.evolution.by_gradient import GradientSearch
    from worldmodels_repro.learning.ppo import PPO

    settings = Ppo(episodes=256, batch=64, learning_rate=0.02, entropy=0.0, epochs=4)
    return GradientSearch(PPO(SHAPE, np.zeros(3), settings, seed), settings, Evolve())


def test_it_learns_what_is_rewarded_and_goes_on_to_the_bit() -> None:
    players: Any = _Target()
    whole, resumed = _search(), _search()
    rows = [whole.generation(players, None, 1, number) for number in range(1, 11)]
    resumed.restore({name: array.copy() for name, array in whole.state().items()}, "state")
    for number in range(11, 41):
        rows.append(whole.generation(players, None, 1, number))
        assert resumed.generation(players, None, 1, number) == rows[-1]
    np.testing.assert_array_equal(resumed.mean, whole.mean)
    np.testing.assert_allclose(whole.mean, [2.0, 0.0, -0.5], atol=0.15)
    assert rows[-1]["mean"] > 0.2 * rows[0]["mean"] and rows[-1]["sigma"] < rows[0]["sigma"]


def test_practice_is_play_with_noise_whoever_plays(tiny_run: Path) -> None:
    config = load_config(TINY)
    body = load_body(tiny_run, config)
    assert isinstance(body.shape, ControllerShape)
    spec = WorldSpec(body, "fast", 3, load_dream(tiny_run, config))
    weights = 0.1 * np.random.default_rng(0).standard_normal(body.shape.weights)
    seeds, still = list(range(7)), np.zeros(3)
    with Players(spec, 1, 0) as one, Players(spec, 1, 2) as parts:
        played = one.play(weights[None], np.zeros(7, int), seeds, 40)
        quiet = one.practise(weights, still, seeds, 40)
        tried, again = (players.practise(weights, still + 0.5, seeds, 40)
                        for players in (one, parts))
    np.testing.assert_array_equal(quiet.returns, played.returns)
    np.testing.assert_array_equal(quiet.steps, played.steps)
    assert len(quiet.rewards) == len(quiet.seen) == played.steps.sum()
    first = np.cumsum(played.steps) - played.steps
    np.testing.assert_allclose(np.add.reduceat(quiet.rewards, first), played.returns, rtol=1e-4)
    assert (quiet.steps[~quiet.ended] == 40).all()
    rows = np.tile(weights.astype(np.float32), (len(quiet.seen), 1))
    np.testing.assert_allclose(body.shape.before_tanh(rows, quiet.seen.astype(np.float32)),
                               quiet.outputs, atol=0.01)
    for name in Practice.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(tried, name), getattr(again, name))
    assert not np.array_equal(tried.outputs[0], quiet.outputs[0])


class _Barren:
    """Two slots in which nothing is gained; an episode's time is up after 7 steps."""

    slots, terminated = 2, np.zeros(2, bool)

    def __init__(self) -> None:
        self._age = np.zeros(2, int)

    def reset(self, slot: int, seed: int) -> None:
        self._age[slot] = 0

    def rest(self, slot: int) -> None:
        pass

    def features(self) -> np.ndarray:
        return np.ones((2, 3), np.float32)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._age += 1
        return np.full(2, -0.1), self._age >= 7


@pytest.mark.parametrize(("patience", "max_steps", "steps", "ended"), [
    (4, 9, 4, True), (0, 9, 7, False), (0, 5, 5, False), (5, 5, 5, False)],
    ids=["given-up", "time-up", "cut", "cut-at-once"])
def test_who_is_given_up_has_ended_and_who_is_cut_has_not(
        patience: int, max_steps: int, steps: int, ended: bool) -> None:
    body = Body(game="pendulum", vision=None, memory=None, inputs=("o",), hidden=0, bias=False,
                sample_z=False, precision="f32")
    tried = practise(_Barren(), body, np.zeros((1, 3), np.float32), np.ones(1, np.float32),
                     [1, 2, 3], max_steps, patience)
    assert tried.steps.tolist() == [steps] * 3 and tried.ended.tolist() == [ended] * 3
    assert len(tried.seen) == 3 * steps


def _ends(run: Path) -> list[Any]:
    folder = run / "evolve"
    rows = load_csv(folder / "generations.csv", "generation")
    return [[{key: value for key, value in row.items() if key not in ("seconds", "hours")}
             for row in rows], load_json_lines(folder / "evaluations.jsonl", dict),
            {name: array.tobytes() for name, array in load_npz(folder / "strategy.npz").items()},
            load_npz(folder / "agent.npz")["weights"].tobytes()]


def _run(tiny_run: Path, target: Path) -> Path:
    shutil.copytree(tiny_run, target, ignore=shutil.ignore_patterns("evolve", "evaluate"))
    return target


def test_a_killed_run_ends_like_one_that_was_never_killed(
        tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, killed = (_run(tiny_run, tmp_path / name) for name in ("whole", "killed"))
    words = ["evolve", "--config", str(TINY_PPO), "--run"]
    killed_after(1, killed / "evolve" / "generations.csv", *words, killed)
    for run in (whole, killed):
        assert main([*words, str(run)]) == 0
    assert _ends(killed) == _ends(whole)
    assert load_json(whole / "evolve" / "agent.json", dict)["world"] == "dream"
    assert main(["evaluate", "--run", str(whole)]) == 0
    judged = load_json(whole / "evaluate" / "evaluation.json", dict)
    assert judged["controller"]["by"] == "ppo" and len(judged["episodes"]["agent"]) == 2
    capsys.readouterr()
    assert main(["results", "--run", str(whole), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["milestones"]) > 0


@pytest.mark.parametrize(("words", "tells"), [
    (["evolve.sift=2", "memory.done=true"], "of CMA-ES's candidates"),
    (["evolve.worst=0.5"], "of CMA-ES's candidates"),
    (["game=cart_pole", "controller.inputs=[o]"], "set controller.by=dqn"),
    (["controller.inputs=[f]"], "set controller.encoder=frozen"),
], ids=["sift", "worst", "choices", "frames"])
def test_what_it_is_not_for(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str],
                            tells: str) -> None:
    given = [word for pair in words for word in ("--set", pair)]
    assert main(["evolve", "--config", "quick", "--run", str(tmp_path / "run"),
                 "--set", "controller.by=ppo", "--set", "controller.mirror=false", *given]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and tells in lines[0]
