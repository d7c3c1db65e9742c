"""Many runs of one config, and what is said of them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import TINY, command, generations, refused

from worldmodels_repro.cli import main
from worldmodels_repro.config import load_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.experiment import every, members, runs_in, seeds_of, share
from worldmodels_repro.report.comparison import comparison, text
from worldmodels_repro.run import Run
from worldmodels_repro.statistics import improvement, interquartile_mean, resampled
from worldmodels_repro.storage import save_csv, save_json, save_json_lines

SIGMAS = "evolve.sigma=0.1,0.3"


# --- which runs ---

def test_every_cell_has_every_seed_and_settings_of_its_own() -> None:
    found = members(Path("x"), TINY, ["vae.z=8"], [1, 2],
                    [SIGMAS, "controller.inputs=[z],[z, h]"])
    assert [str(member.run.path) for member in found[:4]] == [
        "x/sigma=0.1,inputs=z/seed-1", "x/sigma=0.1,inputs=z-h/seed-1",
        "x/sigma=0.3,inputs=z/seed-1", "x/sigma=0.3,inputs=z-h/seed-1"]
    assert len(found) == 8 and [member.run.config.seed for member in found] == [1] * 4 + [2] * 4
    last = found[-1].run.config
    assert (last.evolve.sigma, last.controller.inputs, last.vae.z) == (0.3, ("z", "h"), 8)
    # What a stage's process is told makes the same settings.
    assert load_config(TINY, list(found[-1].overrides)) == last


def test_names_tell_like_settings_apart() -> None:
    found = members(Path("x"), TINY, [], [1], ["vae.epochs=1", "memory.steps=3",
                                               "vae.validation=0.3", "memory.validation=0.2"])
    assert found[0].run.path == Path(
        "x/epochs=1,steps=3,vae.validation=0.3,memory.validation=0.2/seed-1")


@pytest.mark.parametrize(("words", "seeds"), [("3", [1, 2, 3]), ("4-6", [4, 5, 6]),
                                              ("2,4", [2, 4]), ("1-2,7", [1, 2, 7])])
def test_seeds_by_count_and_by_name(words: str, seeds: list[int]) -> None:
    assert seeds_of(words) == seeds


@pytest.mark.parametrize("words", ["", "0", "five", "3-1", "2,2", "-1"])
def test_seeds_that_are_none_are_refused(words: str) -> None:
    with pytest.raises(UserError, match="--seeds"):
        seeds_of(words)


@pytest.mark.parametrize(("words", "said"), [
    (["--grid", "evolve.sigma"], "section.key=value,value"),
    (["--grid", "evolve.sigma=0.1,0.1"], "twice"),
    (["--grid", "evolve.sigmma=0.1"], "did you mean"),
    (["--seeds", "many"], "--seeds many"),
])
def test_bad_words_are_refused_in_a_line(words: list[str], said: str, tmp_path: Path) -> None:
    assert said in refused(command("all", TINY, "--run", tmp_path / "x", *words))
    assert not (tmp_path / "x").exists()


def test_passes_go_on_from_each_other(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"""
base: {TINY}
passes:
- {{vae: {{epochs: 3}}}}
- {{rollouts: {{policies: {{candidates: 5}}}}, memory: {{steps: 9}}, evolve: {{start: null}}}}
""")
    one, two = members(Path("x"), recipe, ["vae.batch=16"], None, [])
    assert (str(one.run.path), str(two.run.path)) == ("x/pass-1", "x/pass-2")
    assert one.run.config.vae.epochs == 3 and one.run.config.vae.start is None
    then = two.run.config
    assert (then.vae.epochs, then.memory.steps, then.vae.batch) == (2, 9, 16)
    assert {then.rollouts.keep, then.rollouts.agent, then.vae.start, then.memory.start} == {
        "x/pass-1"}
    assert then.evolve.start is None and then.rollouts.policies == {"candidates": 5}
    assert load_config(recipe, list(two.overrides)) == then
    # Over seeds, each one's passes go on from its own.
    over = members(Path("x"), recipe, [], [1, 2], [])
    assert [str(member.run.path) for member in over] == [
        "x/seed-1/pass-1", "x/seed-1/pass-2", "x/seed-2/pass-1", "x/seed-2/pass-2"]
    assert over[3].run.config.vae.start == "x/seed-2/pass-1"
    # What is one run can't be made of it.
    line = refused(command("rollouts", "--config", recipe, "--run", tmp_path / "y"))
    assert "worldmodels all" in line and "pass-1" in line


def test_mpirun_is_for_stages(tmp_path: Path) -> None:
    line = refused(command("all", TINY, "--run", tmp_path / "x", PMI_SIZE="3"))
    assert "--mpirun" in line and not (tmp_path / "x").exists()


# --- what they share ---

def test_what_agrees_is_linked_and_the_rest_is_not(tmp_path: Path) -> None:
    def made(name: str, *overrides: str) -> Run:
        return Run(tmp_path / f"kind={name}" / "seed-1", load_config(TINY, list(overrides)))

    def shared(run: Run) -> list[str]:
        return share(run, list(every(tmp_path)))

    first = made("a")
    for stage in ("rollouts", "vae", "latents", "memory"):
        first.begin(stage)
        first.finish(stage)
    first.begin("evolve")  # not done: nobody else's
    like = made("b", "evaluate.episodes=3")
    assert shared(like) == ["rollouts", "vae", "latents", "memory"]
    assert not like.folder("evolve").exists()
    assert shared(made("c", "memory.units=16")) == ["rollouts", "vae", "latents"]
    assert shared(made("d", "seed=2")) == []
    own = made("e", "vae.kl_tolerance=0.1")
    own.folder("rollouts").mkdir(parents=True)  # began before: stays its own
    assert shared(own) == []
    # A link is to the run that made it, not to another link.
    assert made("c").folder("vae").readlink() == Path("../../kind=a/seed-1/vae")


def test_an_experiment_makes_once_what_agrees_and_survives_a_copy(tiny_run: Path,
                                                                  tmp_path: Path) -> None:
    place = tmp_path / "x"
    shutil.copytree(tiny_run, place / "sigma=0.1" / "seed-1")
    result = command("all", TINY, "--run", place, "--seeds", 1, "--grid", SIGMAS, "--until",
                     "evolve")
    assert result.returncode == 0, result.stderr
    assert "with the rollouts, vae, latents, memory of another" in result.stdout
    # A later call knows what earlier ones have made, and no cell of theirs is its own.
    later = command("all", TINY, "--run", place, "--seeds", 1, "--grid",
                    "evolve.rollouts=1", "--until", "memory")
    assert later.returncode == 0, later.stderr
    assert "rollouts=1/seed-1 (1 of 1), with the rollouts, vae, latents, memory of" in later.stdout
    moved, other = tmp_path / "y", Path("sigma=0.3") / "seed-1"
    shutil.copytree(place, moved, symlinks=True)
    shutil.rmtree(place)
    assert (moved / other / "vae").is_symlink()
    assert (moved / other / "vae" / "weights.npz").samefile(
        moved / "sigma=0.1" / "seed-1" / "vae" / "weights.npz")
    assert command("info", "--run", moved / other).returncode == 0
    # Linked or not, the numbers are those of the settings.
    alone = tmp_path / "alone"
    shutil.copytree(tiny_run, alone)
    shutil.rmtree(alone / "evolve")
    assert command("evolve", "--config", TINY, "--run", alone, "--set",
                   "evolve.sigma=0.3").returncode == 0
    assert generations(alone) == generations(moved / other)
    assert generations(alone) != generations(tiny_run)


# --- what is said of them ---

def _run(place: Path, seed: int, scores: list[float], *overrides: str, first: int = 0) -> Path:
    """A judged run that scored so much on tracks ``first``, ``first + 1``, ..."""
    run = Run(place, load_config(TINY, [f"seed={seed}", *overrides]))
    for stage in ("evolve", "evaluate"):
        run.folder(stage).mkdir(parents=True)
        save_json(run.folder(stage) / "stage.json", {
            "state": "done", "settings": {}, "seconds": 3600.0, "cores": 2})
    save_json(place / "config.yaml", run.config.plain())
    save_csv(run.folder("evolve") / "generations.csv", [
        {"generation": n, "steps": 1000, "hours": 0.5 * n} for n in (1, 2)])
    save_json_lines(run.folder("evolve") / "evaluations.jsonl", [
        {"generation": n, "episodes": 2, "mean": 500.0 * n - seed, "std": 1.0, "steps": 100}
        for n in (1, 2)])
    rows = [{"seed": first + n, "score": score, "steps": 9} for n, score in enumerate(scores)]
    save_json(run.folder("evaluate") / "evaluation.json", {
        "environment": "CarRacing-v3", "unmodified": True, "solved": 900.0, "versions": {},
        "agent": {"run": "x", "generation": 2, "mean": 1.0}, "results": {},
        "episodes": {"agent": rows}})
    return place


def test_statistics_against_closed_forms() -> None:
    assert interquartile_mean(np.array([0.0, 10, 20, 1000])) == 15.0
    base, other = np.array([[1.0, 5.0]]), np.array([[2.0, 5.0], [0.0, 6.0]])
    # Track 0: 2 > 1, 0 < 1; track 1: a tie, 6 > 5.
    assert improvement(base, other) == (1 + 0 + 0.5 + 1) / 4
    # Two seeds that agree within themselves: draws are (0, 0), (10, 10) or one of each.
    rng = np.random.default_rng(3)
    draws = [resampled([np.zeros(4), np.full(4, 10.0)], rng).mean() for _ in range(4000)]
    share = {value: draws.count(value) / 4000 for value in (0.0, 5.0, 10.0)}
    assert sum(share.values()) == 1.0 and abs(share[5.0] - 0.5) < 0.03


def test_groups_by_hand(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 50, 40)  # what makes a track hard is the same for all
    for seed in (1, 2, 3):
        noise = rng.normal(0, 3, (2, 40))
        _run(tmp_path / "a" / f"seed-{seed}", seed, list(800 + hard + noise[0]))
        _run(tmp_path / "b" / f"seed-{seed}", seed, list(810 + hard + noise[1]),
             "evolve.sigma=0.3")
    table = comparison({**runs_in(tmp_path / "a"), **runs_in(tmp_path / "b")})
    one, two = table["groups"]
    assert one["seeds"] == [1, 2, 3] and one["episodes"] == 120
    assert one["mean"] == pytest.approx(np.mean(one["means"])) and one["worst"] == min(one["means"])
    assert one["ci95"][0] < one["mean"] < one["ci95"][1]
    assert one["milestones"][0]["seeds"] == 3 and one["milestones"][0]["steps"] == 2200
    assert one["curves"][1] == {"seed": 2, "score": [498.0, 998.0], "generation": [1, 2],
                                "steps": [1100, 2200]}
    difference, = table["differences"]
    # Paired, 10 stands out from tracks that differ by 50; the groups' own intervals overlap.
    assert difference["verdict"] == "better" and 8 < difference["ci95"][0] < 10 < \
        difference["ci95"][1] < 12
    assert difference["improvement"] > 0.95 and two["ci95"][0] < one["ci95"][1]
    assert "better" in text(table) and "one seed" not in text(table)


def test_runs_are_found_by_cell_and_seed_and_last_pass(tmp_path: Path) -> None:
    for place in ("a/sigma=1", "a/sigma=2/seed-10", "a/sigma=2/seed-9/pass-1",
                  "a/sigma=2/seed-9/pass-2", "b", "b/seed-1", "c/pass-1"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "config.yaml").touch()

    def found(name: str) -> list[list[str]]:
        return [[str(run.relative_to(tmp_path)) for run in runs]
                for runs in runs_in(tmp_path / name).values()]

    assert found("a") == [["a/sigma=1"], ["a/sigma=2/seed-9/pass-2", "a/sigma=2/seed-10"]]
    assert (found("b"), found("c")) == ([["b/seed-1"]], [["c/pass-1"]])


def test_noise_and_single_seeds_are_called_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    one = _run(tmp_path / "a", 1, list(rng.normal(800, 50, 30)))
    two = _run(tmp_path / "b", 2, list(rng.normal(800, 50, 30)))
    said = text(comparison({"a": [one], "b": [two]}))
    assert "one seed (a, b)" in said and "within the noise" in said


def test_what_cannot_be_compared_is_refused(tmp_path: Path, tiny_run: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    def refusal(*places: Path) -> str:
        assert main(["compare", *map(str, places)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "Traceback" not in said
        return said

    one = _run(tmp_path / "x" / "seed-1", 1, [1.0, 2.0])
    assert "two runs or more" in refusal(one)
    _run(tmp_path / "x" / "seed-2", 2, [1.0, 2.0], "evolve.sigma=0.3")
    assert "evolve.sigma: 0.1 there, 0.3 here" in refusal(tmp_path / "x")
    assert "other tracks" in refusal(one, _run(tmp_path / "far", 1, [1.0], first=50))
    game = _run(tmp_path / "game", 1, [1.0, 2.0])
    judged = json.loads((game / "evaluate" / "evaluation.json").read_text())
    save_json(game / "evaluate" / "evaluation.json", judged | {"environment": "Pong"})
    assert "one game" in refusal(one, game)
    bare = tmp_path / "bare"
    shutil.copytree(tiny_run, bare, ignore=shutil.ignore_patterns("evaluate", "rollouts"))
    assert "no evaluation yet" in refusal(one, bare)
    assert "holds no run" in refusal(one, tmp_path / "nothing")


def test_the_comparison_is_drawn_and_told_as_json(tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2, 3):
        _run(tmp_path / "a" / f"seed-{seed}", seed, [800.0, 900.0 + seed])
    other = _run(tmp_path / "b", 1, [700.0, 950.0], "evolve.sigma=0.3")
    figure = tmp_path / "figures" / "compare"
    assert main(["compare", str(tmp_path / "a"), str(other), "--json", "--figure",
                 str(figure)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [group["seeds"] for group in told["groups"]] == [[1, 2, 3], [1]]
    drawn = figure.with_suffix(".svg").read_bytes()
    words = "".join(ElementTree.fromstring(drawn).itertext())
    assert "validated score" in words
    assert figure.with_suffix(".png").stat().st_size > 5000
    assert main(["compare", str(tmp_path / "a"), str(other), "--figure", str(figure)]) == 0
    assert figure.with_suffix(".svg").read_bytes() == drawn


def test_every_study_is_one_that_can_be_made() -> None:
    script = (Path(__file__).parents[1] / "scripts" / "studies.sh").read_text()
    questions = dict(re.findall(r'^    \[(\w+)\]="(.+)"$', script, re.MULTILINE))
    order = re.search(r"^order=\(([^)]+)\)", script, re.MULTILINE)
    assert order is not None and order[1].split() == list(questions)
    base = load_config("studies")
    for axes in questions.values():
        cells = members(Path("x"), "studies", [], [1], re.split(r" (?=[a-z]+\.)", axes))
        assert cells and all(cell.run.config != base for cell in cells)
        assert all(cell.run.config.evolve.budget == 1_000_000 for cell in cells)
