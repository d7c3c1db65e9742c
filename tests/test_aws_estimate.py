"""Hours and dollars: the arithmetic by hand, the table of prices, and what a run cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import CAR

from worldmodels_repro.cloud import bill, stack
from worldmodels_repro.cloud.estimate import (
    BOOT_HOURS,
    DEFAULTS,
    KINDS,
    Estimate,
    advice,
    cluster,
    estimate,
    evolution,
)
from worldmodels_repro.cloud.launch import longest
from worldmodels_repro.cloud.prices import DISK_GIB, TABLE, load_prices
from worldmodels_repro.cloud.rates import BENCHMARKS, Rates, learn_row, load_rates
from worldmodels_repro.config import load_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.run import stages_of
from worldmodels_repro.storage import save_json

if TYPE_CHECKING:
    from aws_terminal import Terminal

pytest_plugins = ["aws_terminal"]

ROOT = Path(__file__).parents[1]
# Round figures: a step 1/1000 s with 16 together, of which the encoder takes 1/10,000 a frame,
# and 7/10,000 for a frame alone.
RATES = Rates(loop_bf16=1000.0, loop_f32=500.0, original=100.0, encode_f32=1000.0, encode_1=7e-4,
              encode_16=1e-4, vae={"float32": 100.0, "mixed_bfloat16": 200.0}, memory=1000.0,
              cores=2, serial=0.5)
PAPER = ROOT / "configs" / "paper" / "carracing.yaml"
FAST = ["evolve.renderer=fast", "evolve.precision=bf16"]


@pytest.mark.parametrize("cpu", ["xeon-amx", "epyc-zen4"])
def test_rates_are_those_of_the_committed_benchmarks(cpu: str) -> None:
    rows = {}
    for line in (BENCHMARKS / f"{cpu}.jsonl").read_text().splitlines():
        row = json.loads(line)
        rows[row.get("name")] = row
    rates = load_rates(cpu)
    assert rates.loop_bf16 == rows["loop.bf16.gymnasium"]["value"]
    assert rates.loop_f32 == rows["loop.f32.gymnasium"]["value"]
    assert rates.original == rows["loop.bf16.gymnasium"]["baseline"]
    assert rates.loop(True, False) == pytest.approx(rates.loop_bf16)
    assert rates.loop(False, False) == pytest.approx(rates.loop_f32)
    assert rates.memory > 1000
    assert 0 < rates.serial < 1


def test_a_cpu_that_was_not_measured_has_no_bfloat16() -> None:
    assert load_rates(None).loop_bf16 == load_rates("epyc-zen4").loop_f32
    with pytest.raises(UserError, match="name one of epyc-zen4, xeon-amx"):
        load_rates("abacus")


def test_the_loop_with_fewer_games_and_with_the_games_own_renderer() -> None:
    assert RATES.loop(True, False) == pytest.approx(1000)
    assert RATES.loop(True, False, 64) == pytest.approx(1000)
    assert 1 / RATES.loop(True, False, 1) == pytest.approx(1e-3 - 1e-4 + 7e-4)
    assert RATES.loop(True, True) == pytest.approx(1 / (1e-3 + 1e-2))


def test_a_paper_scale_evolution_by_hand() -> None:
    config, machine = load_config(PAPER, FAST), load_prices().machine("c7i.16xlarge")
    row = evolution(config, machine, 1, RATES, serial=0.5, hour=3.0)
    # 64 workers share 32 cores: 16 episodes each, 1,000 steps, 500 steps/s.
    assert row.generation == pytest.approx(16 * 1000 / 500 + 0.5)
    assert row.used == pytest.approx(32 / 32.5)
    # 72 evaluations of 1,024 whole episodes: 16 a worker as well.
    hours = (1800 * 32.5 + 72 * 32.0) / 3600
    assert row.hours == pytest.approx(hours)
    assert row.dollars == pytest.approx((hours + BOOT_HOURS) * 3.0)
    guess = estimate(config, "evolve", machine, RATES)
    assert guess.hours == pytest.approx(hours + BOOT_HOURS)
    assert "1,843,200,000 steps at 1,000 steps/s a core" in guess.basis


def test_where_a_cluster_begins() -> None:
    config, prices = load_config(PAPER, FAST), load_prices()
    rows = cluster(config, "c7i.48xlarge", prices, RATES, serial=0.0)
    assert [row.nodes for row in rows] == [1, 2, 4]
    # 192, 384 and 768 workers deal 1,024 episodes out as 6, 3 and 2 each, in smaller batches.
    assert rows[0].generation == pytest.approx(6 * 1000 / RATES.loop(True, False, 6) * 2)
    assert rows[2].generation == pytest.approx(2 * 1000 / RATES.loop(True, False, 2) * 2)
    assert rows[0].used > rows[1].used > rows[2].used
    assert rows[0].dollars < rows[1].dollars < rows[2].dollars
    slow = cluster(config, "c7i.48xlarge", prices, RATES, serial=100.0)
    assert "a cluster only buys wall-clock time" in advice(slow, "c7i.48xlarge")
    big = cluster(load_config(PAPER, [*FAST, "evolve.rollouts=512"]), "c7i.16xlarge", prices, RATES,
                  serial=0.0)
    worth = [row.nodes for row in big if row.used >= 0.8]
    assert len(worth) > 3
    assert advice(big, "c7i.16xlarge").startswith(f"up to {worth[-1]} machines")


@pytest.mark.parametrize(("stage", "seconds"), [
    ("rollouts", 10_000 * 1000 / (100 * 32)),  # the paper's settings take the game's own renderer
    ("vae", 10_000 * 1000 * 10 / 100),
    ("latents", 10_000 * 1000 / (1000 * 32)),
    ("memory", 4000 * 100 * 999 / 1000),
    ("evaluate", 200 * 1000 / (32 / (1 / 500 + 1 / 100))),
])
def test_the_other_stages_by_hand(stage: str, seconds: float) -> None:
    guess = estimate(load_config(PAPER), stage, load_prices().machine("c7i.16xlarge"), RATES)
    assert guess.hours == pytest.approx(seconds / 3600 + BOOT_HOURS)


LANDER = ("testbench/LL_256_128", "learn.steps=1000", "learn.evaluate_every=400",
          "learn.evaluate_rollouts=2")
BOTH = "pretraining/lander_both"


def test_stages_that_learn_by_hand() -> None:
    machine = load_prices().machine(DEFAULTS["few"])
    config = load_config(LANDER[0], list(LANDER[1:]))
    rates = replace(RATES, learning={"learn_steps.lunar_lander.dqn.o": 50.0,
                                     "pretrain_steps.autoencoder": 10.0,
                                     "pretrain_steps.transition": 100.0})
    guess = estimate(config, "learn", machine, rates)
    # Three evaluations of two episodes, of 1,000 steps at most.
    assert guess.hours == pytest.approx((1000 + 3 * 2 * 1000) / 50 / 3600 + BOOT_HOURS)
    assert "7,000 steps at 50 steps/s; other networks" in guess.basis
    guess = estimate(config, "learn", machine, rates, rate=100.0)
    assert guess.hours == pytest.approx(7000 / 100 / 3600 + BOOT_HOURS)
    both = load_config(BOTH, ["pretrain.steps=500"])
    guess = estimate(both, "pretrain", machine, rates)
    assert guess.hours == pytest.approx((500 / 10 + 500 / 100) / 3600 + BOOT_HOURS)
    unknown = estimate(both, "learn", machine, rates)
    assert unknown.hours is None
    assert "learn_steps.lunar_lander_continuous.td3.f has no rate yet, measure" in unknown.basis


def test_a_learners_rates_are_rows_of_the_benchmark(tmp_path: Path) -> None:
    for name in BENCHMARKS.glob("*.jsonl"):
        (tmp_path / name.name).write_text(name.read_text())
    row = {"name": learn_row(load_config(LANDER[0])), "value": 250.0, "baseline": None,
           "details": {}}
    with (tmp_path / "epyc-zen4.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    assert load_rates("xeon-amx", tmp_path).learning["learn_steps.lunar_lander.dqn.o"] == 250.0


def test_a_machine_for_a_stage_that_learns(terminal: Terminal,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldmodels_repro.cloud.verbs.load_rates", lambda cpu: RATES)
    words = ("launch", "--dry-run", "--config", BOTH, "--stage")
    for stage in ("pretrain", "learn"):
        line = terminal.refused(*words, stage)
        assert f"measure first: type worldmodels {stage}" in line and "--max-hours N" in line
        said = terminal.done(*words, stage, "--rate", 50)
        assert '"InstanceType": "c7a.xlarge"' in said
        assert "cores template of the stack" in said and f"_{stage}.sh" in said
        assert "at 50" in said and "estimate: none" not in said
    assert "estimate: none" in terminal.done(*words, "learn", "--max-hours", 3)
    assert "--rate 0: name steps" in terminal.refused(*words, "learn", "--rate", 0)
    said = terminal.done("costs", "--estimate", "--config", BOTH, "--rate", 50)
    assert [line.split()[0] for line in said.splitlines()[1:6]] == [
        "rollouts", "pretrain", "learn", "evaluate", "all"]
    assert "at 50 steps/s" in said
    assert terminal.calls == []


def test_a_machine_ends_after_twice_the_estimate_or_as_told() -> None:
    assert longest(Estimate(4.1, ""), None) == 9
    assert longest(Estimate(0.1, ""), None) == 2
    assert longest(Estimate(None, ""), None) == 12
    assert longest(Estimate(4.1, ""), 1.5) == 1.5
    for wrong in (0.0, -1.0, 1e6, float("nan")):
        with pytest.raises(UserError, match="--max-hours"):
            longest(Estimate(None, ""), wrong)


# --- prices ---

def test_prices_and_template_speak_of_the_same_machines() -> None:
    prices, template = load_prices(), stack.read_template()
    parameters = template["Parameters"]
    assert parameters["GpuInstanceType"]["Default"] == DEFAULTS["gpu"]
    assert parameters["CoresInstanceType"]["Default"] == DEFAULTS["cores"]
    assert parameters["DiskGiB"]["Default"] == DISK_GIB
    assert prices.machine(DEFAULTS["gpu"]).gpu and prices.machine(DEFAULTS["cores"]).vcpus >= 64
    assert prices.hour("c7i.16xlarge", False) == pytest.approx(2.856 + 0.005)
    assert prices.hour("c7i.16xlarge", True, 730) == pytest.approx(1.428 + 0.08 + 0.005)


def test_the_table_says_how_old_it_is_and_where_it_holds() -> None:
    prices = load_prices()
    assert f"as of {prices.as_of}" in prices.caution() and "check before" in prices.caution()
    assert "you use eu-north-1" in prices.caution("eu-north-1")
    assert "you use" not in prices.caution(prices.region)


@pytest.mark.parametrize(("text", "said"), [
    ("as_of: [", "not valid YAML"),
    ("as_of: 2025-06-01\nmachines: {}\n", "region"),
    (None, "git checkout aws/prices.yaml"),
])
def test_a_table_that_was_edited_wrongly(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "prices.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=said):
        load_prices(file)
    file.write_text(TABLE.read_text().replace("price: 2.856", "price: -1"))
    with pytest.raises(UserError, match=r"machines\.c7i\.16xlarge\.price"):
        load_prices(file)


# --- runs ---

def test_a_run_names_its_price_by_the_machines_rented(tmp_path: Path) -> None:
    line = {"machine": "i-1", "instance_type": "c7i.16xlarge", "spot": True, "stage": "evolve",
            "hours": 2.0}
    (tmp_path / "machines.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(
        line | {"spot": False, "hours": 1.0}) + "\n")
    prices = load_prices()
    lines = bill.price_of(tmp_path, prices)
    dollars = 2 * prices.hour("c7i.16xlarge", True, DISK_GIB) + prices.hour(
        "c7i.16xlarge", False, DISK_GIB)
    assert lines[3].split() == ["all", "3.00", f"{dollars:.2f}"]
    assert "machines rented" in lines[4]


def test_a_run_names_its_price_by_its_own_hours(tmp_path: Path) -> None:
    for folder in ("evolve", "evaluate"):
        save_json(tmp_path / folder / "stage.json", {"state": "done", "settings": {},
                                                     "seconds": 7200.0})
    lines = bill.price_of(tmp_path, load_prices())
    assert [line.split()[0] for line in lines[1:4]] == ["evolve", "evaluate", "all"]
    assert "4.00" in lines[3] and "if its stages had taken as long" in lines[4]


def test_the_bill_of_a_config_without_an_account(terminal: Terminal) -> None:
    said = terminal.done("costs", "--estimate", "--config", CAR, "--serial", "0.2")
    stages = KINDS.keys() & stages_of(load_config(CAR))
    for word in (*stages, "0.2 s of each generation serial", "as of"):
        assert word in said
    assert "learn " not in said
    measured = f"{load_rates('epyc-zen4').serial:g} s of each generation serial"
    assert measured in terminal.done("costs", "--estimate", "--config", CAR)
    assert terminal.calls == []
