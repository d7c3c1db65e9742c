"""An agent that is interrupted: what it leaves, for how long, and what it then remembers."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, refused
from conftest import command as typed

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.policies.agent import Interrupted
from worldmodels_repro.worlds.agent import load_agent
from worldmodels_repro.worlds.episodes import play
from worldmodels_repro.worlds.frames import FramesWorld

AGENT = Path(__file__).parents[1] / "logs" / "carracing"


def test_some_numbers_are_uniform_and_held_and_the_rest_the_agents(
        monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Interrupted(load_agent(AGENT), (5, 12))
    own: list[np.ndarray] = []
    taken: list[tuple[bool, ...]] = []
    done: list[np.ndarray] = []
    told: list[np.ndarray] = []
    drive, remember = policy._controllers.act, policy._senses.remember

    def driven(seen: np.ndarray) -> np.ndarray:
        own.append(drive(seen))
        return own[-1].copy()

    def remembered(actions: np.ndarray) -> None:
        told.append(actions.copy())
        remember(actions)

    def watch(seen: np.ndarray, actions: np.ndarray, rewards: np.ndarray,
              dones: np.ndarray) -> None:
        taken.append(tuple(policy._taken.tolist()))
        done.append(actions[0].copy())

    monkeypatch.setattr(policy._controllers, "act", driven)
    monkeypatch.setattr(policy._senses, "remember", remembered)
    play(FramesWorld(game_named("car_racing"), 1, "fast"), policy, [3], 500, watch=watch)
    np.testing.assert_array_equal(np.stack(done), np.concatenate(told))  # M is told what was done
    first, runs = 0, [(mask, len(list(steps))) for mask, steps in groupby(taken)]
    assert not any(runs[0][0])
    for number, (mask, steps) in enumerate(runs):
        span, here = slice(first, first + steps), np.array(mask)
        acted, drove = np.stack(done[span]), np.stack([action[0] for action in own[span]])
        np.testing.assert_array_equal(acted[:, ~here], drove[:, ~here])
        if any(mask):
            assert len(np.unique(acted[:, here], axis=0)) == 1
            assert 5 <= steps <= 12 or number == len(runs) - 1
        else:
            assert steps <= 24
        first += steps
    masks = {mask for mask, _ in runs}
    assert len(runs) > 20
    assert len(masks) > 4


def test_it_needs_an_agent(tmp_path: Path) -> None:
    line = refused(typed("rollouts", "--config", TINY, "--run", tmp_path / "run", "--set",
                         "rollouts.policies={interrupted: 2}"))
    assert "asks for the interrupted" in line
