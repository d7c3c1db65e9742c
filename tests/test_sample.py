"""The sample of a run: held-out episodes, as V, M and C met them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from worldmodels_repro.api import LoadedRun
from worldmodels_repro.config import load_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.mdn_rnn.forward import load_mdn_rnn
from worldmodels_repro.report import sample as samples
from worldmodels_repro.report.sample import load_sample, sample, sample_file, write_sample
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_json
from worldmodels_repro.worlds.agent import load_agent
from worldmodels_repro.worlds.episodes import play

LOGS = Path(__file__).parents[1] / "logs"
COMMITTED = ["carracing_dream", "carracing", "doom"]


def _run(path: Path) -> Run:
    return Run(path, load_config(path / "config.yaml"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AGENTS": 1, "STEPS": 40, "RANDOM_STEPS": 12, "WINDOW": 15, "POINTS": 9,
                        "RECONSTRUCTIONS": 3}.items():
        monkeypatch.setattr(samples, name, value)


@pytest.mark.usefixtures("small")
def test_a_sample_is_what_the_agent_met_in_float32(tmp_path: Path) -> None:
    run = _run(LOGS / "carracing")
    assert run.config.evolve.precision == "bf16"
    exact = shutil.copytree(run.path, tmp_path / "exact", ignore=shutil.ignore_patterns("figures"))
    text = (exact / "config.yaml").read_text()
    (exact / "config.yaml").write_text(text.replace("precision: bf16", "precision: f32"))
    made, again = sample(run), sample(run)
    for name, array in made.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)  # type: ignore[literal-required]
    loaded = LoadedRun(exact)
    seen: list[tuple[np.ndarray, ...]] = []
    play(loaded.world(), loaded.policy(), [int(made["seed"])], 40,
         watch=lambda frames, actions, rewards, dones: seen.append(
             (frames[0].copy(), actions[0].copy(), rewards[0].copy())))
    first = int(made["first"])
    for name, column in (("frames", 0), ("actions", 1), ("rewards", 2)):
        expected = np.stack([row[column] for row in seen])[first:first + 15]
        np.testing.assert_array_equal(made[name], expected, err_msg=name)  # type: ignore[literal-required]
    assert made["map_points"].shape == (9, 2)
    assert made["map_frames"].shape == (9, 32, 32, 3)
    assert made["quantiles"].shape == (5, 32)
    assert (np.diff(made["quantiles"], axis=0) >= 0).all()
    total = np.concatenate([[0.0], np.cumsum([row[2] for row in seen])])
    assert made["map_score"][0] == np.float32(total[first])  # of the first moment on the map
    np.testing.assert_array_equal(made["map_actions"][0], seen[first][1])


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_sample_is_of_its_agent(name: str) -> None:
    """C acts on the sample's z, and on h as M has it by then, as the sample says that it did."""
    run = _run(LOGS / name)
    kept, agent = load_sample(run), load_agent(run.path)
    game = game_named(run.config.game)
    told = game.told(run.config.memory.taken_actions)
    memory = load_mdn_rnn(run.path, run.config.memory, kept["z"].shape[1], game.actions).follow(1)
    memory.resume(0, {"h": kept["h"], "c": kept["c"]})
    for z, action in zip(kept["z"], kept["actions"], strict=True):
        parts = {"z": z, **{name: state[0] for name, state in memory.state.items()}}
        features = np.concatenate([parts[name] for name in agent.body.inputs])[None]
        acted = game.act(agent.body.shape.act(agent.weights[None], features))[0]
        np.testing.assert_allclose(action, acted, atol=2e-3)
        memory.step(z[None], told(action[None]))
    judged = load_json(run.folder("evaluate") / "evaluation.json", dict)
    scores = sorted(episode["score"] for episode in judged["episodes"]["agent"])
    mine = next(episode["score"] for episode in judged["episodes"]["agent"]
                if episode["seed"] == int(kept["seed"]))
    assert mine == scores[(len(scores) - 1) // 2]


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_sample_is_small(name: str) -> None:
    assert sample_file(_run(LOGS / name)).stat().st_size <= 1_000_000


def test_a_run_without_an_agent_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes((LOGS / "carracing" / "config.yaml").read_bytes())
    with pytest.raises(UserError, match="the stage 'vae' writes it"):
        write_sample(_run(tmp_path))
