"""Killed, damaged, out of space: small versions of what ``benchmarks.reliability`` counts."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import STAGES, TINY, command, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.reliability.compare import difference
from benchmarks.reliability.fuzz import fuzz
from benchmarks.reliability.kills import COMMANDS, kill_once, kills
from worldmodels_repro.config import Config, check_config, load_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.pipeline import STAGES as PIPELINE
from worldmodels_repro.records import Marker
from worldmodels_repro.run import Run
from worldmodels_repro.storage import hold, load_json, resume_checkpoint, save_checkpoint
from worldmodels_repro.verbs import VERBS


@pytest.mark.parametrize(("stage", "moment"), [("rollouts", 1.9), ("memory", 6.5),
                                               ("evolve", 2.5)])
def test_a_killed_stage_ends_as_if_never_killed(tiny_run: Path, tmp_path: Path, stage: str,
                                                moment: float) -> None:
    run = tmp_path / "run"
    for earlier in STAGES[:STAGES.index(stage)]:
        shutil.copytree(tiny_run / earlier, run / earlier)
    assert kill_once([stage], TINY, run, moment)[1] == 0
    assert difference(run / stage, tiny_run / stage) is None


def test_kills_know_every_stage_and_every_verb_that_opens_a_run() -> None:
    known = {words[0] for commands in COMMANDS.values() for words in commands}
    assert known >= PIPELINE.keys()
    only_words_or_films = {"results", "info", "play"}
    assert known >= {name for name, verb in VERBS.items() if verb.opens} - only_words_or_films


@pytest.mark.slow
def test_what_learns_or_predicts_and_is_killed_ends_as_if_never_killed(
        monkeypatch: pytest.MonkeyPatch) -> None:
    others = {config: words for config, words in COMMANDS.items() if config != TINY}
    monkeypatch.setattr("benchmarks.reliability.kills.COMMANDS", others)
    assert kills(sum(map(len, others.values())))["others"] == []


def test_damaged_files_are_refused_in_one_line() -> None:
    counted = fuzz(1050, seed=2)
    assert counted["tracebacks"] == 0, counted["others"]
    assert counted["refused"] > counted["read"] > 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(
    st.text(max_size=60),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                 lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                     st.sampled_from(["rollouts", "vae", "evolve", "seed", "policies", "base",
                                      "inputs", "sigma", "x"]), inner, max_size=4),
                 max_leaves=8).map(lambda value: repr(value))))
def test_no_config_raises_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load_config(path)
    except UserError as error:
        assert "\n" not in str(error)


# === Checkpoints ===


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "state.npz"
    for value in (1, 2):
        save_checkpoint(path, {"x": np.array(value)})
    assert resume_checkpoint(path, lambda state, source: int(state["x"])) == 2
    path.write_bytes(path.read_bytes()[:40])
    assert resume_checkpoint(path, lambda state, source: int(state["x"])) == 1
    assert "going on from the checkpoint before it" in capsys.readouterr().err
    for damaged in tmp_path.iterdir():
        damaged.write_bytes(b"")
    with pytest.raises(UserError, match="truncated"):
        resume_checkpoint(path, lambda state, source: 0)


def test_evolution_goes_on_from_the_checkpoint_before(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    for name in (".before.strategy.npz", "strategy.npz"):
        assert (run / "evolve" / name).exists()
    checkpoint = run / "evolve" / "strategy.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    marker = run / "evolve" / "stage.json"
    marker.write_text(marker.read_text().replace('"done"', '"running"'))
    result = command("evolve", "--run", run)
    assert result.returncode == 0, result.stderr
    assert "going on from the checkpoint before it" in result.stderr
    assert difference(run / "evolve", tiny_run / "evolve") is None


def test_a_run_kept_without_its_strategy_is_not_written_over(tiny_run: Path, tmp_path: Path,
                                                             ) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    for name in (".before.strategy.npz", "strategy.npz"):
        (run / "evolve" / name).unlink()
    more = refused(command("evolve", "--run", run, "--set", "evolve.generations=9"))
    assert "cannot go on from generation 4:" in more
    assert command("evolve", "--run", run).returncode == 0  # done as it is
    rows = (path / "evolve" / "generations.csv" for path in (run, tiny_run))
    assert len({file.read_bytes() for file in rows}) == 1


# === Markers ===


def test_a_torn_marker_throws_no_strategy_away(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    marker = run / "evolve" / "stage.json"
    marker.write_bytes(marker.read_bytes()[:100])
    for verb in ("evolve", "evaluate", "results"):
        said = refused(command(verb, "--run", run))
        assert "remove this one file" in said and f"remove {run / 'evolve'} " not in said
    marker.unlink()
    clash = refused(command("evolve", "--run", run, "--set", "evolve.sigma=0.3"))
    assert "evolve.sigma: 0.1 there, 0.3 here" in clash
    strategy = (run / "evolve" / "strategy.npz").read_bytes()
    assert command("evolve", "--run", run).returncode == 0
    assert (run / "evolve" / "strategy.npz").read_bytes() == strategy
    assert difference(run / "evolve", tiny_run / "evolve") is None
    assert load_json(marker, Marker)["state"] == "done"


def test_a_setting_newer_than_a_stage_had_its_default_there(tmp_path: Path) -> None:
    def run(**settings: object) -> Run:
        return Run(tmp_path / "run", check_config({"rollouts": settings}, "x"))

    first = run()
    marker = (first.begin("rollouts") or tmp_path) / "stage.json"
    first.finish("rollouts")
    written = json.loads(marker.read_text())
    for newer in ("rollouts.patience", "rollouts.brownian_dt"):
        del written["settings"][newer]
    marker.write_text(json.dumps(written))
    assert run().begin("rollouts") is None
    run().require("rollouts", "vae")
    for act in (Run.begin, lambda changed, stage: changed.require(stage, "vae")):
        with pytest.raises(UserError, match=r"rollouts\.patience: 0 there, 5 here"):
            act(run(patience=5), "rollouts")


# === Disks ===


def test_a_read_only_disk_says_so(tiny_run: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500m", "tmpfs", disk],
                             capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk of its own here: {mounted.stderr.strip()}")
    try:
        run = Path(shutil.copytree(tiny_run, disk / "run"))
        shutil.rmtree(run / "evolve")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert "read-only" in refused(command("evolve", "--run", run))
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        assert command("evolve", "--run", run).returncode == 0
        assert difference(run / "evolve", tiny_run / "evolve") is None
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_the_time_of_an_interrupted_sitting_counts(tmp_path: Path) -> None:
    for _ in range(2):
        run = Run(tmp_path / "run", Config())
        run.begin("rollouts")
        time.sleep(0.05)
        run.checkpoint("rollouts")
        del run  # and with it the lock, as when a process is killed
    run = Run(tmp_path / "run", Config())
    run.begin("rollouts")
    run.finish("rollouts")
    marker = load_json(tmp_path / "run" / "rollouts" / "stage.json", Marker)
    assert marker["state"] == "done"
    assert 0.1 <= marker["seconds"] < 5


# === Two processes ===


def test_two_processes_on_one_stage(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    shutil.rmtree(run / "evolve")
    lock = run / "evolve" / ".lock"
    held = hold(lock, "evolve")
    assert "another process is at work" in refused(command("evolve", "--run", run))
    held.release()
    assert command("evolve", "--run", run).returncode == 0


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    program = ("import os, sys; from pathlib import Path; "
               "from worldmodels_repro.storage import hold; "
               "held = hold(Path(sys.argv[1]), 'x'); os.kill(os.getpid(), 9)")
    subprocess.run([sys.executable, "-c", program, tmp_path / "lock"])
    hold(tmp_path / "lock", "x").release()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_no_error(tmp_path: Path, number: int) -> None:
    program = ("import fcntl, sys\n"
               "from pathlib import Path\n"
               "def flock(*words):\n"
               f"    raise OSError({number}, 'no locks here')\n"
               "fcntl.flock = flock\n"
               "from worldmodels_repro.storage import hold\n"
               "held = [hold(Path(sys.argv[1]), 'x') for _ in range(2)]\n")
    result = subprocess.run([sys.executable, "-c", program, tmp_path / "lock"],
                            capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_run_begins_where_cores_have_no_affinity(tmp_path: Path) -> None:
    program = ("import os, sys\n"
               "del os.sched_getaffinity\n"
               "import worldmodels_repro.storage, worldmodels_repro.verbs.doctor\n"
               "from worldmodels_repro.config import Config\n"
               "from worldmodels_repro.cores import usable_cores\n"
               "from worldmodels_repro.pool import Pool\n"
               "assert usable_cores() >= 1\n"
               "Pool(lambda: print, 0).close()\n"
               "from pathlib import Path\n"
               "worldmodels_repro.verbs.doctor._machine()\n"
               "from worldmodels_repro.run import Run\n"
               "assert Run(Path(sys.argv[1]), Config()).begin('rollouts') is not None\n")
    result = subprocess.run([sys.executable, "-c", program, tmp_path / "run"],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
