"""The stages through their real command line: whole, resumed, and with whatever users type."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, command, generations, killed_after, refused

from worldmodels_repro.sections import Rollouts
from worldmodels_repro.stages import rollouts
from worldmodels_repro.storage import load_csv, load_json, load_json_lines, load_npz, save_json
from worldmodels_repro.worlds.agent import load_agent


def _numbers(run: Path) -> list[dict[str, object]]:
    """What a run's evolution came to, times aside."""
    return generations(run) + load_json_lines(run / "evolve" / "evaluations.jsonl", dict)


def _without(tiny_run: Path, target: Path, *stages: str) -> Path:
    """A copy of the finished run that lacks some stages."""
    shutil.copytree(tiny_run, target)
    for stage in stages:
        shutil.rmtree(target / stage, ignore_errors=True)
    return target


def test_a_finished_run_is_whole(tiny_run: Path) -> None:
    assert len(load_json_lines(tiny_run / "rollouts" / "manifest.jsonl", dict)) == 6
    episode = load_npz(tiny_run / "rollouts" / "network-000000.npz")
    latents = load_npz(tiny_run / "latents" / "network-000000.npz")
    T = len(episode["frames"])
    assert episode["frames"].shape == (T, 64, 64, 3)
    assert episode["actions"].shape == (T, 3)
    assert latents["mu"].shape == latents["logvar"].shape == (T, 32)
    assert latents["mu"].dtype == np.float16
    assert len(load_csv(tiny_run / "vae" / "history.csv")) == 2
    assert len(load_csv(tiny_run / "memory" / "history.csv")) == 2
    assert len(load_csv(tiny_run / "evolve" / "generations.csv")) == 4
    for stage in ("rollouts", "vae", "latents", "memory", "evolve", "evaluate"):
        assert load_json(tiny_run / stage / "stage.json", dict)["state"] == "done", stage
    assert not list(tiny_run.rglob("*.tmp"))
    assert not list(tiny_run.rglob("*.pkl"))


def test_training_lowers_the_losses(tiny_run: Path) -> None:
    first, second = load_csv(tiny_run / "vae" / "history.csv")
    assert second["val_loss"] < first["val_loss"]
    first, second = load_csv(tiny_run / "memory" / "history.csv")
    assert second["val_loss"] < first["val_loss"]


def test_the_judge_is_the_unmodified_game(tiny_run: Path) -> None:
    result = load_json(tiny_run / "evaluate" / "evaluation.json", dict)
    assert (result["environment"], result["unmodified"]) == ("CarRacing-v3", True)
    assert result["versions"]["gymnasium"]
    assert result["agent"]["generation"] in (2, 4)
    assert len(result["episodes"]["agent"]) == 2
    manifest = load_json_lines(tiny_run / "rollouts" / "manifest.jsonl", dict)
    training = {line["seed"] for line in manifest}
    assert not training & {row["seed"] for row in result["episodes"]["agent"]}


def test_running_a_finished_stage_again_changes_nothing(tiny_run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tiny_run / "vae").rglob("*")}
    assert command("vae", "--run", tiny_run).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (tiny_run / "vae").rglob("*")} == before


def test_collection_does_not_depend_on_workers_or_interruptions(tiny_run: Path,
                                                                tmp_path: Path) -> None:
    run = _without(tiny_run, tmp_path / "run", "vae", "latents", "memory", "evolve")
    # As if killed in the third episode: two lines, and half a file of the next.
    manifest = run / "rollouts" / "manifest.jsonl"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:2]) + '{"epis')
    names = [line["episode"] for line in load_json_lines(
        tiny_run / "rollouts" / "manifest.jsonl", dict)]
    for name in names[2:]:
        (run / "rollouts" / f"{name}.npz").unlink()
    (run / "rollouts" / "stage.json").write_text(
        (run / "rollouts" / "stage.json").read_text().replace('"done"', '"running"'))
    assert command("rollouts", "--run", run, "--set", "evolve.workers=1").returncode == 0
    for name in names:
        ours, theirs = (load_npz(path / "rollouts" / f"{name}.npz") for path in (run, tiny_run))
        for key in theirs:
            np.testing.assert_array_equal(ours[key], theirs[key])


def test_more_episodes_go_on_from_those_there(tiny_run: Path, tmp_path: Path) -> None:
    run = _without(tiny_run, tmp_path / "run", "vae", "latents", "memory", "evolve")
    more = "rollouts.policies={network: 2, brownian: 2, held: 3}"
    assert command("rollouts", "--run", run, "--set", more).returncode == 0
    assert len(load_json_lines(run / "rollouts" / "manifest.jsonl", dict)) == 7
    assert "other settings" in refused(command("rollouts", "--run", run, "--set",
                                               "rollouts.policies={held: 1}"))


@pytest.mark.slow  # test_durability kills a stage at a time of its own choosing
def test_evolution_killed_and_resumed_is_the_same_run(tiny_run: Path, tmp_path: Path) -> None:
    run = _without(tiny_run, tmp_path / "run", "evolve", "evaluate")
    killed_after(2, run / "evolve" / "generations.csv", "evolve", "--run", run)
    assert len(load_csv(run / "evolve" / "generations.csv")) < 4
    assert command("evolve", "--run", run, "--set", "evolve.workers=1").returncode == 0
    assert _numbers(run) == _numbers(tiny_run)
    np.testing.assert_array_equal(load_npz(run / "evolve" / "agent.npz")["weights"],
                                  load_npz(tiny_run / "evolve" / "agent.npz")["weights"])


def test_ctrl_c_says_how_to_go_on(tiny_run: Path, tmp_path: Path) -> None:
    run = _without(tiny_run, tmp_path / "run", "evolve", "evaluate")
    process = subprocess.Popen([sys.executable, "-m", "worldmodels_repro.cli", "evolve", "--run",
                                str(run), "--set", "evolve.generations=2000"],
                               stderr=subprocess.PIPE, text=True,
                               # A suite that runs in the background is deaf to Ctrl-C.
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while len(load_csv(run / "evolve" / "generations.csv")) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "type the same command again to go on" in said
    assert "Traceback" not in said
    # Or to end where it is: less than was asked for, but no less than is there.
    done = int(load_npz(run / "evolve" / "strategy.npz")["step"])
    line = refused(command("evolve", "--run", run, "--set", f"evolve.generations={done - 1}"))
    assert f"type --set evolve.generations={done}" in line
    assert command("evolve", "--run", run, "--set", f"evolve.generations={done}").returncode == 0
    evaluated = load_json_lines(run / "evolve" / "evaluations.jsonl", dict)
    assert evaluated[-1]["generation"] == done


def test_a_stage_may_be_told_twice_to_end(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "worldmodels_repro.cli", "rollouts",
                                "--config", str(TINY), "--run", str(tmp_path / "run"), "--set",
                                "rollouts.policies={held: 500}"],
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (tmp_path / "run" / "rollouts" / "manifest.jsonl").exists():
        time.sleep(0.02)
    # As `timeout` does: the process, then its whole group.
    process.send_signal(signal.SIGTERM)
    time.sleep(0.005)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("type the same command again to go on\n")


@pytest.mark.slow  # four trainings; test_models resumes one
def test_vae_and_memory_resume_number_for_number(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _without(tiny_run, run, "vae", "latents", "memory", "evolve", "evaluate")
    assert command("vae", "--run", run, "--set", "vae.epochs=1").returncode == 0
    assert command("vae", "--run", run, "--set", "vae.epochs=2").returncode == 0
    ours, theirs = (load_npz(path / "vae" / "weights.npz") for path in (run, tiny_run))
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert command("latents", "--run", run).returncode == 0
    assert command("memory", "--run", run, "--set", "memory.steps=3").returncode == 0
    assert command("memory", "--run", run, "--set", "memory.steps=6").returncode == 0
    ours, theirs = (load_npz(path / "memory" / "weights.npz") for path in (run, tiny_run))
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.parametrize("inputs", ["[z]", "[z, h, c]"])
def test_controllers_of_other_shapes_evolve(tiny_run: Path, tmp_path: Path, inputs: str) -> None:
    run = _without(tiny_run, tmp_path / "run", "evolve", "evaluate")
    result = command("evolve", "--run", run, "--set", f"controller.inputs={inputs}", "--set",
                     "controller.hidden=5", "--set", "evolve.generations=1")
    assert result.returncode == 0, result.stderr
    features = {"[z]": 32, "[z, h, c]": 32 + 32 + 32}[inputs]
    assert load_npz(run / "evolve" / "agent.npz")["weights"].shape == (features * 5 + 5 + 18,)


@pytest.mark.slow  # three evolutions
def test_a_budget_of_steps_ends_an_evolution_and_more_goes_on(tiny_run: Path, tmp_path: Path,
                                                              ) -> None:
    run = _without(tiny_run, tmp_path / "run", "evolve", "evaluate")
    # A generation is 8 episodes of 40 to 60 steps.
    result = command("evolve", "--run", run, "--set", "evolve.budget=481")
    assert result.returncode == 0, result.stderr
    assert "0:00:00 left, generation 2" in result.stderr
    rows = load_csv(run / "evolve" / "generations.csv", "steps")
    assert len(rows) == 2 and rows[0]["steps"] < 481 <= sum(row["steps"] for row in rows)
    less = refused(command("evolve", "--run", run, "--set", "evolve.budget=100"))
    assert "evolve.budget: 481 there, 100 here" in less
    assert command("evolve", "--run", run, "--set", "evolve.budget=null").returncode == 0
    ours, theirs = (load_npz(path / "evolve" / "agent.npz")["weights"] for path in (run, tiny_run))
    np.testing.assert_array_equal(ours, theirs)


def test_a_score_that_is_doubted_is_played_again(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    one = ("evaluate", "--run", run, "--again", "--set", "evaluate.episodes=1")
    result = command(*one)
    assert result.returncode == 0, result.stderr
    assert "1 of 1 episodes to the last digit" in result.stdout
    written = run / "evaluate" / "evaluation.json"
    judged = load_json(written, dict)
    for row in judged["episodes"]["agent"]:
        row["score"] += 100
    save_json(written, judged)
    assert "outside the interval" in refused(command(*one))
    written.unlink()
    assert "no evaluation yet" in refused(command(*one))


def test_the_agent_collects_rollouts(tiny_run: Path, tmp_path: Path) -> None:
    result = command("rollouts", "--config", TINY, "--run", tmp_path / "run", "--set",
                     "rollouts.policies={controller: 2}", "--set", f"rollouts.agent={tiny_run}",
                     "--set", "rollouts.agent_noise=0.1")
    assert result.returncode == 0, result.stderr
    lines = load_json_lines(tmp_path / "run" / "rollouts" / "manifest.jsonl", dict)
    assert [line["policy"] for line in lines] == ["controller"] * 2


@pytest.mark.slow  # three evolutions, in two worlds
def test_the_game_is_played_by_those_that_dream_best(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("evolve", "evaluate"))
    words = ("evolve", "--run", run, "--set", "evolve.sift=3", "--set", "evolve.sift_rollouts=2",
             "--set", f"evolve.start={tiny_run}", "--set", "evolve.start_spread=true")
    assert command(*words, "--set", "evolve.generations=1").returncode == 0
    assert command(*words, "--set", "evolve.generations=2").returncode == 0  # goes on
    whole = tmp_path / "whole"
    shutil.copytree(run, whole, ignore=shutil.ignore_patterns("evolve"))
    result = command("evolve", "--run", whole, *words[3:], "--set", "evolve.generations=2")
    assert result.returncode == 0, result.stderr
    rows = generations(run)
    assert rows == generations(whole)
    # Four candidates, of twelve, played two episodes of at most sixty steps.
    assert all(row["steps"] <= 4 * 2 * 60 for row in rows)


def test_candidates_collect_beside_what_is_kept(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("rollouts", "--config", TINY, "--run", run, "--set", f"rollouts.keep={tiny_run}",
             "--set", "rollouts.policies={held: 1, candidates: 2}", "--set",
             f"rollouts.agent={tiny_run}")
    result = command(*words)
    assert result.returncode == 0, result.stderr
    kept, lines = (load_json_lines(place / "rollouts" / "manifest.jsonl", dict)
                   for place in (tiny_run, run))
    assert lines[:len(kept)] == kept
    # Its own go on counting where those end, so no seed comes twice.
    assert [line["episode"] for line in lines[len(kept):]] == [
        "held-000002", "candidates-000000", "candidates-000001"]
    assert len({line["seed"] for line in lines}) == len(lines)
    for line in lines:
        assert (run / "rollouts" / f"{line['episode']}.npz").exists()
    one, two = (load_npz(run / "rollouts" / f"candidates-00000{n}.npz")["actions"] for n in (0, 1))
    assert one[0].tolist() != two[0].tolist()  # each has a C of its own
    assert "nothing to do" in command(*words).stderr


def test_what_cannot_be_kept_or_drawn_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    def asked(*settings: str) -> str:
        words = [word for setting in settings for word in ("--set", setting)]
        return refused(command("rollouts", "--config", TINY, "--run", tmp_path / "run", *words))

    assert "rollouts.keep=null" in asked(f"rollouts.keep={tmp_path / 'none'}")
    pong = tmp_path / "doom"
    (pong / "rollouts").mkdir(parents=True)
    shutil.copy(tiny_run / "rollouts" / "stage.json", pong / "rollouts")
    (pong / "config.yaml").write_text("game: take_cover\n")
    assert "holds episodes of take_cover" in asked(f"rollouts.keep={pong}")
    bare = tmp_path / "bare"
    shutil.copytree(tiny_run, bare, ignore=shutil.ignore_patterns("strategy*", "rollouts"))
    assert "kept without evolve/strategy.npz" in asked(
        "rollouts.policies={candidates: 1}", f"rollouts.agent={bare}")
    assert not (tmp_path / "run").exists()


def test_agents_drive_in_turn(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agents = [load_agent(tiny_run), load_agent(tiny_run)]
    monkeypatch.setattr(rollouts, "policy_named", lambda name: lambda game, settings, agent: agent)
    plays = rollouts.Plays(rollouts.Gathering(game="car_racing", settings=Rollouts(),
                                              agents=agents))
    drivers = [plays._policy(rollouts.Episode("controller", number, 7)) for number in range(3)]
    assert [id(driver) for driver in drivers] == [id(agents[i]) for i in (0, 1, 0)]


def test_info_prints_json() -> None:
    papers = {"V": 4348547, "M": 422368, "C": 867}
    for config, sizes in (("paper/carracing", papers), ("quick", papers | {"V": 1113443})):
        result = command("info", "--config", config)
        assert json.loads(result.stdout)["parameters"] == sizes


# --- what bad input gets ---

def test_a_stage_before_the_one_it_needs(tmp_path: Path) -> None:
    line = refused(command("memory", "--config", TINY, "--run", tmp_path / "run"))
    assert "worldmodels latents" in line
    assert not (tmp_path / "run").exists()


def test_changed_settings_over_old_artefacts(tiny_run: Path) -> None:
    line = refused(command("vae", "--run", tiny_run, "--set", "vae.z=16"))
    assert "vae.z: 32 there, 16 here" in line
    line = refused(command("evolve", "--run", tiny_run, "--set", "memory.units=64"))
    assert "memory.units" in line


@pytest.mark.parametrize(("words", "said"), [
    (["vae", "--config", TINY, "--set", "vae.depth=3"], "unknown key vae.depth"),
    (["vae", "--config", TINY, "--set", "vae.z=big"], "vae.z"),
    (["vae", "--config", "configs/none.yaml"], "--config quick"),
    (["vae"], "--config"),
    (["vae", "--run", "logs/none"], "--config"),
    (["walk"], "--help"),
    (["vae", "--speed", "3"], "--help"),
])
def test_wrong_command_lines(words: list[object], said: str) -> None:
    assert said in refused(command(*words))


@pytest.mark.slow
def test_truncated_episodes_are_named_and_skipped_only_if_asked(tiny_run: Path,
                                                                tmp_path: Path) -> None:
    run = _without(tiny_run, tmp_path / "run", "vae", "latents", "memory", "evolve")
    path = run / "rollouts" / "brownian-000000.npz"
    path.write_bytes(path.read_bytes()[:1000])
    assert "brownian-000000.npz" in refused(command("vae", "--run", run))
    skipping = ("--set", "skip_bad_files=true")
    for verb in ("vae", "latents", "memory"):
        result = command(verb, "--run", run, *skipping)
        assert result.returncode == 0, result.stderr
    assert not (run / "latents" / "brownian-000000.npz").exists()


def test_too_few_episodes(tiny_run: Path, tmp_path: Path) -> None:
    run = _without(tiny_run, tmp_path / "run", "vae", "latents", "memory", "evolve")
    manifest = run / "rollouts" / "manifest.jsonl"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text(lines[0])
    assert "at least 2" in refused(command("vae", "--run", run))
    manifest.write_text(lines[0].replace('"kept": true', '"kept": false'))
    assert "holds no episodes" in refused(command("vae", "--run", run))


@pytest.mark.slow  # six stages
def test_a_full_disk_loses_nothing(tiny_run: Path, tmp_path: Path) -> None:
    """A file-size limit stands in for a full disk: the write fails, the state before it stays."""
    run = _without(tiny_run, tmp_path / "run", "evolve", "evaluate")
    program = ("import errno, sys\n"
               "from worldmodels_repro import storage\n"
               "from worldmodels_repro.cli import main\n"
               "def full(fd):\n"
               "    raise OSError(errno.ENOSPC, 'No space left on device', 'strategy.npz')\n"
               "from worldmodels_repro.stages import evolve\n"
               "real_save = evolve.save_checkpoint\n"
               "def save(path, arrays):\n"
               "    storage.os.fsync = full\n"
               "    real_save(path, arrays)\n"
               "evolve.save_checkpoint = save\n"
               "if __name__ == '__main__':\n"
               f"    sys.exit(main(['evolve', '--run', {str(run)!r}]))\n")
    (tmp_path / "full.py").write_text(program)
    result = subprocess.run([sys.executable, str(tmp_path / "full.py")], capture_output=True,
                            text=True, timeout=120)
    assert "the disk is full" in refused(result)
    assert not list((run / "evolve").glob(".*tmp"))
    assert command("evolve", "--run", run).returncode == 0
    assert _numbers(run) == _numbers(tiny_run)


def test_a_run_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "name another --run" in refused(command("rollouts", "--config", TINY, "--run",
                                                   tmp_path / "file" / "run"))


def test_a_missing_extra_says_what_to_install() -> None:
    program = ("import sys\n"
               "from worldmodels_repro import cli\n"
               "def run(_): import vizdoom\n"
               "sys.modules['vizdoom'] = None\n"
               "import worldmodels_repro.verbs.info as info\n"
               "info.run = run\n"
               f"sys.exit(cli.main(['info', '--config', {str(TINY)!r}]))\n")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install" in refused(result)


def test_a_worker_imports_neither_tensorflow_nor_keras() -> None:
    program = ("import sys, worldmodels_repro.evolution.players, worldmodels_repro.stages.evolve\n"
               "print([name for name in ('tensorflow', 'keras', 'jax') if name in sys.modules])\n")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
