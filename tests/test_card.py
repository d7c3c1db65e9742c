"""Model cards: those that are committed say what their runs' files say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import command, refused

from worldmodels_repro.report.card import NAME, table, text
from worldmodels_repro.run import load_run

AGENTS = sorted(path.parents[1] for path in Path("logs").glob("*/evolve/agent.npz"))


def test_every_committed_agent_has_a_card() -> None:
    assert Path("logs/carracing") in AGENTS and Path("logs/doom") in AGENTS


@pytest.mark.parametrize("run", AGENTS, ids=str)
def test_a_committed_card_is_what_its_run_says(run: Path) -> None:
    card = (run / NAME).read_text(encoding="utf-8")
    assert card == text(table(load_run(run))), (
        f"type worldmodels results --run {run} --card, and git add -f {run / NAME}")


@pytest.mark.parametrize(("world", "chosen_in", "said", "unsaid"), [
    ("real", "real", ["CMA-ES, in the game.", "evaluations in the game,"], "does not know"),
    ("dream", "real", ["in M's dream at temperature 1.15.", "evaluations in the game,",
                       "What M's dream lacks"], "never met"),
    ("forward", "forward", ["CMA-ES, in frames that a network predicts.",
                            "evaluations in frames that a network predicts,", "never met the game",
                            "What the network does not predict"], "M's dream"),
])
def test_a_card_says_where_c_came_to_be(world: str, chosen_in: str, said: list[str],
                                        unsaid: str) -> None:
    card = table(load_run(Path("logs/carracing")))
    card["world"], card["chosen_in"], card["temperature"] = world, chosen_in, 1.15
    assert "done 4 times" not in text(card) and "done 4 times" in text({**card, "repeat": 4})
    words = text(card)
    assert [part for part in said if part not in words] == [] and unsaid not in words


def test_a_card_says_what_a_run_came_to(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    done = command("results", "--run", run, "--card")
    assert done.returncode == 0, done.stderr
    card = (run / NAME).read_text()
    told = table(load_run(run))
    agent = told["results"]["agent"]
    assert f"| agent in the game | 2 | {agent['mean']:.0f} ± {agent['std']:.0f} |" in card
    assert "played by policies: 2 brownian, 2 held, 2 network." in card
    assert "Kept without" not in card  # all that it needs to go on is there
    (run / "evolve" / "strategy.npz").unlink()
    assert "Kept without evolve/strategy.npz" in text(table(load_run(run)))
    shutil.rmtree(run / "evaluate")
    assert "has no evaluation yet" in refused(command("results", "--run", run, "--card"))
