"""Evolution under mpirun: on this machine, and over two hosts joined by a wire."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from conftest import TINY, command, generations

HERE = Path(__file__).parent
MPIRUN = Path(sys.executable).parent / "mpirun"
HOSTS = {"wm-left": "10.201.77.1", "wm-right": "10.201.77.2"}
STAGE = (sys.executable, "-m", "mpi4py.futures", "-m", "worldmodels_repro.cli")

pytestmark = pytest.mark.skipif(not MPIRUN.exists(), reason="no mpirun beside this Python")


def _copy(tiny_run: Path, target: Path) -> Path:
    return Path(shutil.copytree(tiny_run, target, ignore=shutil.ignore_patterns(
        "evolve", "evaluate", "figures")))


@pytest.mark.parametrize("ranks", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_numbers_do_not_depend_on_ranks(tiny_run: Path, tmp_path: Path, ranks: int) -> None:
    run = _copy(tiny_run, tmp_path / "run")
    done = subprocess.run([MPIRUN, "-n", str(ranks), *STAGE, "evolve", "--config", TINY, "--run",
                           run], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert generations(run) == generations(tiny_run)


def test_two_pools_in_the_same_ranks_keep_to_their_own_worlds(tiny_run: Path,
                                                              tmp_path: Path) -> None:
    """C evolves in the dream, its mean is evaluated in the game: each rank serves both."""
    words: list[str | Path] = ["evolve", "--config", TINY, "--set", "evolve.world=dream", "--set",
                               "evolve.select=real", "--run"]
    local, spread = (_copy(tiny_run, tmp_path / name) for name in ("local", "spread"))
    assert command(*words, local).returncode == 0
    done = subprocess.run([MPIRUN, "-n", "3", *STAGE, *words, spread], capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert generations(spread) == generations(local)


def test_a_mistake_ends_all_ranks_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run([MPIRUN, "-n", "3", *STAGE, "evolve", "--config", TINY, "--run",
                           tmp_path / "run"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("worldmodels:") == 1
    assert "needs 'memory' first" in done.stderr


def test_an_error_on_a_rank_ends_the_job_with_its_traceback(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text("from worldmodels_repro.pool import Pool\n"
                      "def work(n): return 1 // (n - 3)\n"
                      "def make(): return work\n"
                      "if __name__ == '__main__':\n"
                      "    with Pool(make, 0) as pool:\n"
                      "        print(list(pool.map(range(8))))\n")
    done = subprocess.run([MPIRUN, "-n", "3", sys.executable, "-m", "mpi4py.futures", script],
                          capture_output=True, text=True, timeout=60,
                          env=os.environ | {"PYTHONPATH": str(HERE.parent)})
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr


def test_a_rank_that_dies_ends_the_job_and_the_next_start_goes_on(tiny_run: Path,
                                                                  tmp_path: Path) -> None:
    run = _copy(tiny_run, tmp_path / "run")
    words: list[str | Path] = [MPIRUN, "-n", "3", *STAGE, "evolve", "--config", TINY, "--run", run,
                               "--set", "evolve.generations=300"]
    job = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    _wait_for_rows(run, 2)
    victim = _ranks_of(job.pid)[-1]
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    said = job.communicate(timeout=60)[0]
    assert time.monotonic() - killed < 10
    assert job.returncode != 0
    # The launcher names a process that died so, and where; it may be one that it ended itself.
    assert re.search(r"PID \d+ RUNNING AT \S+", said) and "signal 9" in said, said
    there = len(generations(run))
    words[-1] = f"evolve.generations={max(there, 300) + 1}"
    again = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for_rows(run, there + 2)
    again.send_signal(signal.SIGTERM)
    again.wait(30)
    assert generations(run)[:4] == generations(tiny_run)


def _wait_for_rows(run: Path, rows: int) -> None:
    until = time.monotonic() + 120
    while len(generations(run)) < rows:
        assert time.monotonic() < until, "no generations came"
        time.sleep(0.05)


def _ranks_of(job: int) -> list[int]:
    """Processes of a job that run Python, in the order of their ranks."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
            variables = (place / "environ").read_bytes().split(b"\0")
        except (OSError, PermissionError):
            continue
        rank = [word for word in variables if word.startswith(b"PMI_RANK=")]
        if rank and b"mpi4py.futures" in words and _is_below(int(place.name), job):
            found.append((int(rank[0].split(b"=")[1]), int(place.name)))
    return [process for _, process in sorted(found)]


def _is_below(process: int, ancestor: int) -> bool:
    while process > 1:
        if process == ancestor:
            return True
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            return False
    return False


# === Two hosts ===


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def two_hosts(tmp_path: Path) -> Iterator[Path]:
    """Two network namespaces joined by a veth pair, an ssh server in each; the keys' folder."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and iproute2")
    for host in HOSTS:
        subprocess.run(["ip", "netns", "del", host], capture_output=True)
    try:
        for host in HOSTS:
            _ip("netns", "add", host)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    servers = []
    try:
        left, right = HOSTS
        _ip("link", "add", "wm-l", "netns", left, "type", "veth", "peer", "name", "wm-r",
            "netns", right)
        for host, wire in zip(HOSTS, ("wm-l", "wm-r"), strict=True):
            _ip("-n", host, "addr", "add", f"{HOSTS[host]}/24", "dev", wire)
            _ip("-n", host, "link", "set", wire, "up")
            _ip("-n", host, "link", "set", "lo", "up")
        for name in ("host_key", "user_key"):
            key = asyncssh.generate_private_key("ssh-ed25519")
            key.write_private_key(tmp_path / name)
            key.write_public_key(tmp_path / f"{name}.pub")
        for host, address in HOSTS.items():
            server = subprocess.Popen(["ip", "netns", "exec", host, sys.executable,
                                       HERE / "multi_host" / "sshd.py", address, tmp_path],
                                      stdout=subprocess.PIPE, text=True)
            servers.append(server)
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
        yield tmp_path
    finally:
        for server in servers:
            server.kill()
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], capture_output=True)


@pytest.mark.slow
def test_over_two_hosts(two_hosts: Path, tiny_run: Path) -> None:
    run = _copy(tiny_run, two_hosts / "run")
    launcher, hosts = two_hosts / "launcher", two_hosts / "hosts"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE}/multi_host/ssh.py" '
                        f'"{two_hosts}" "$@"\n')
    launcher.chmod(0o755)
    hosts.write_text("".join(f"{address}:2\n" for address in HOSTS.values()))
    done = subprocess.run(
        ["ip", "netns", "exec", next(iter(HOSTS)), MPIRUN, "-launcher", "ssh", "-launcher-exec",
         launcher, "-f", hosts, "-n", "4", "-l", *STAGE, "evolve", "--config", TINY, "--run", run],
        capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert generations(run) == generations(tiny_run)
