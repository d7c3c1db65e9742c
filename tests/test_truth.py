"""Is the dream true: what V shows, how early deaths are dreamt, scores in dream and game."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import command, refused

from worldmodels_repro.models.mdn_rnn.forward import MdnRnn
from worldmodels_repro.storage import load_json, load_npz, save_npz
from worldmodels_repro.truth.leads import Watched, lead_curve
from worldmodels_repro.truth.vision import contrast
from worldmodels_repro.worlds.dream import Dream

ROOT = Path(__file__).parents[1]


def test_a_dream_that_ends_at_once_is_held_against_the_game(tiny_run: Path,
                                                            tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    weights = load_npz(run / "memory" / "weights.npz")
    done, reward = -2, -1  # the heads' columns
    weights["mdn/kernel"][:, [done, reward]] = 0.0
    weights["mdn/bias"][[done, reward]] = 1.0, 70.0
    save_npz(run / "memory" / "weights.npz", weights)
    result = command("truth", "--run", run, "--only", "scores", "--episodes", 2)
    assert result.returncode == 0, result.stderr
    rows = {row["policy"]: row for row in load_json(run / "truth" / "truth.json", dict)["scores"]}
    assert set(rows) >= {"uniformly random", "always middle", "the agent"}
    assert rows["always middle"]["dream"]["mean"] == 70
    # Half throttle and half brake, straight on: the tiles of the start, a tenth lost a step.
    assert -10 <= rows["always middle"]["game"]["mean"] < 30


def test_lead_curves_name_no_folder_and_say_nothing_of_nothing(tiny_run: Path,
                                                                tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    result = command("truth", "--run", run, "--only", "leads", "--episodes", 2)
    assert result.returncode == 0, result.stderr
    text = (run / "truth" / "truth.json").read_text()
    assert "NaN" not in text and str(tmp_path) not in text
    rows = load_json(run / "truth" / "truth.json", dict)["leads"]
    assert {row["policy"] for row in rows} == {"random", "the agent"}
    assert rows[0]["deaths"] == 0 and rows[0]["death"] is None  # tiny episodes end by their time


@pytest.mark.parametrize(("run", "part", "words"), [
    ("carracing", "scores", "no score to dream"), ("carracing", "leads", "learned no endings"),
    ("carracing", "vision", "does not tell where things are")])
def test_what_can_not_be_measured_is_said_in_one_line(tmp_path: Path, run: str, part: str,
                                                      words: str) -> None:
    shutil.copytree(ROOT / "logs" / run, tmp_path / "run")
    assert words in refused(command("truth", "--run", tmp_path / "run", "--only", part))


def test_contrast_is_a_things_colour_less_that_of_what_is_around_it() -> None:
    picture = np.full((64, 64, 3), 50.0)
    picture[20, 30] = (150.0, 50.0, 20.0)
    picture[50, 50] = 255.0  # too far to count
    cover = np.zeros((64, 64), np.float32)
    cover[20, 30] = 0.5  # half of the pixel: its colour is what is seen
    np.testing.assert_allclose(contrast(picture, cover), [100.0, 0.0, -30.0], rtol=1e-5)


def test_the_lead_curve_finds_deaths_that_m_sees_coming() -> None:
    """An M that counts: it ends an episode five steps after it saw a sign in z, and not else."""
    units, z = 8, 1
    kernel, recurrent = np.zeros((z + 1, 4 * units)), np.zeros((units, 4 * units))
    bias, head = np.zeros(4 * units), np.zeros((units, 3 * z + 1))
    i, f, c, o = (slice(part * units, (part + 1) * units) for part in range(4))
    bias[i], bias[f], bias[o] = 20.0, -20.0, 20.0  # gates: take all, forget all, show all
    kernel[0, c.start] = 5.0  # unit 0 is up when the sign is there
    for unit in range(units - 1):
        recurrent[unit, c.start + unit + 1] = 5.0  # and hands on, a unit a step
    head[5, 3] = 100.0
    memory = MdnRnn(z=z, done=True, weights={
        "lstm/kernel": kernel.astype(np.float32), "lstm/bias": bias.astype(np.float32),
        "lstm/recurrent_kernel": recurrent.astype(np.float32),
        "mdn/kernel": head.astype(np.float32),
        "mdn/bias": np.array([0.0, 0.0, -20.0, -50.0], np.float32)})
    dream = Dream(game="take_cover", memory=memory, inputs=("z",), temperature=1.0,
                  starts={"mu": np.zeros((1, 1), np.float32),
                          "logvar": np.full((1, 1), -60.0, np.float32)}, precision="f32")

    def episode(length: int, sign: int | None) -> Watched:
        mu = np.zeros((length, 1), np.float32)
        if sign is not None:
            mu[sign] = 1.0
        return Watched(mu, np.full((length, 1), -60.0, np.float32),
                       np.zeros((length, 1), np.float32), sign is not None)

    # The sign is seen five steps before the last one: earlier places can't know.
    episodes = [episode(60, 54), episode(80, 74), episode(70, None)]
    rows = {row["lead"]: row for row in lead_curve(dream, episodes, (2, 5, 8), 4,
                                                   np.random.default_rng(0))}
    assert rows[2]["deaths"] == 2
    assert [rows[lead]["death"] for lead in (2, 5, 8)] == [1.0, 1.0, 0.0]
    assert all(row["survived"] == 0.0 for row in rows.values())
