"""What a run would find on this machine, and what is wrong with it, in words.

What only some runs need (Doom, MPI, S3) is told where it is not installed, and is no problem until
it is asked for. Under ``mpirun`` every rank looks, and the first one says what all of them saw.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldmodels_repro.cores import usable_cores
from worldmodels_repro.errors import MissingExtraError, UserError, first_line
from worldmodels_repro.extras import how_to_install
from worldmodels_repro.pool import THREADS, ranks

if TYPE_CHECKING:
    from worldmodels_repro.envs.registry import Game

GIB = 1 << 30
ENOUGH_DISK, ENOUGH_MEMORY = 5.0, 0.5  # GiB: a quick run's rollouts; a worker and its share


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where to look."""
    parser.add_argument("--run", dest="folder", type=Path, default=Path("logs"), metavar="FOLDER",
                        help="where runs would lie")
    parser.add_argument("--remote", metavar="S3", help="try this too: s3://bucket/prefix")


def run(folder: Path, remote: str | None) -> int:
    """Print what there is and what is wrong; returns 0 when nothing is, 1 otherwise.

    Args:
        folder: where runs would lie.
        remote: ``s3://bucket/prefix`` to try, or None.
    """
    problems: list[str] = []
    lines: list[tuple[str, str]] = []

    def look(what: str, how: Callable[[], tuple[str, list[str]]]) -> None:
        try:
            fact, wrong = how()
        except Exception as error:  # whatever it is, it is what the user wants to hear of
            reason = first_line(error)
            fact, wrong = f"broken: {reason}", [f"{what}: {reason}"]
        lines.append((what, fact))
        problems.extend(wrong)

    look("python", _python)
    look("versions", _versions)
    look("machine", _machine)
    look("disk", lambda: _disk(folder))
    look("mpi", _mpi)
    if _rank() > 0:
        return 0
    from worldmodels_repro.envs.registry import GAMES

    for game in GAMES.values():
        look("game", partial(_game, game))
    look("encoder", _encoder)
    look("training", _training)
    look("s3", lambda: _s3(remote))
    for what, fact in lines:
        print(f"{what:10s}{fact}")
    for problem in problems:
        print(f"PROBLEM   {problem}")
    print("nothing is wrong" if not problems else f"{len(problems)} to mend")
    return 1 if problems else 0


def _python() -> tuple[str, list[str]]:
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    wrong = [] if fits else ["Python 3.11, 3.12 or 3.13 is needed: make .venv anew with one"]
    return f"{platform.python_version()}, {sys.executable}", wrong


def _versions() -> tuple[str, list[str]]:
    from worldmodels_repro.run import versions

    found = versions()
    missing = [f"{name} is not installed: type bash scripts/setup.sh"
               for name in ("openvino", "gymnasium", "cma")
               if name not in found]
    return ", ".join(f"{name} {number}" for name, number in found.items()
                     if name != "python"), missing


def _machine() -> tuple[str, list[str]]:
    cores = usable_cores()
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    available = _available()
    threads = ", ".join(f"{name}={os.environ[name]}" for name in THREADS if name in os.environ)
    wrong = []
    if available is not None and available < ENOUGH_MEMORY * cores + 2.0:
        wrong.append(f"{available:.1f} GiB of memory are free: training and {cores} workers want "
                     f"{ENOUGH_MEMORY * cores + 2.0:.0f}; close something, or use fewer workers "
                     "with --set evolve.workers=1")
    if threads:
        wrong.append(f"{threads} is set: V's and M's training will use no more threads than "
                     "that; unset it, workers see to their own")
    free = "" if available is None else f", {available:.1f} free"
    return (f"{platform.system()} {platform.machine()}, {cores} cores for this process, "
            f"{total:.1f} GiB of memory{free}"), wrong


def _available() -> float | None:
    """GiB that the kernel could hand out (caches count as free), where it says so."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) / (1 << 20) for line in lines
                    if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _disk(folder: Path) -> tuple[str, list[str]]:
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / GIB
    wrong = []
    if free < ENOUGH_DISK:
        wrong.append(f"{free:.1f} GiB are free below {place}: make room, or name another --run")
    if not os.access(place, os.W_OK):
        wrong.append(f"{place} can't be written: name another --run")
    return f"{free:.1f} GiB free for {folder}", wrong


def _mpi() -> tuple[str, list[str]]:
    beside = str(Path(sys.executable).parent)  # where the wheel of an MPI puts its own
    launcher = shutil.which("mpirun") or shutil.which("mpirun", path=beside)
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: it finds no MPI to stand on
        if ranks() == 1:
            return _optional("mpi"), []
        return "none", [f"mpirun is at work, and mpi4py does not start ({error}): type "
                        "pip install mpi4py mpich"]
    vendor, number = MPI.get_vendor()
    hosts = Counter(MPI.COMM_WORLD.gather(socket.gethostname()) or [])
    fact = (f"{vendor} {'.'.join(map(str, number))}, "
            f"launcher {launcher or 'not found (optional): load an MPI module'}")
    wrong = []
    asked = ranks()
    if asked != MPI.COMM_WORLD.Get_size():
        wrong.append(f"mpirun started {asked} processes, but each is alone in its MPI: mpirun and "
                     f"mpi4py ({vendor}) are of two kinds; use the mpirun in .venv/bin, or build "
                     "mpi4py for this one (docs/install.md)")
    if MPI.COMM_WORLD.Get_size() > 1:
        fact += ", ranks " + ", ".join(f"{host}: {count}" for host, count in hosts.items())
        if len(hosts) == 1 and max(hosts.values()) > usable_cores() + 1:
            wrong.append(f"{max(hosts.values())} ranks share {usable_cores()} cores: "
                         "start one more than there are cores (the first only hands out work)")
    return fact, wrong


def _optional(extra: str) -> str:
    return f"not installed (optional): {how_to_install(extra)}"


def _rank() -> int:
    if ranks() == 1:
        return 0
    from mpi4py import MPI

    return int(MPI.COMM_WORLD.Get_rank())


def _game(game: Game) -> tuple[str, list[str]]:
    try:
        env = game.make("fast")
        env.reset(seed=1)
        env.close()
    except MissingExtraError as error:
        return f"{game.judge_id} not installed (optional): {error.what_to_type}", []
    except Exception as error:
        raise RuntimeError(f"{game.judge_id}: {error}") from error
    return game.judge_id, []


def _encoder() -> tuple[str, list[str]]:
    from worldmodels_repro.models.runtime import has_bfloat16

    both = has_bfloat16()
    return f"OpenVINO on the CPU, {'bf16 and f32' if both else 'f32 (no bf16)'}", []


def _training() -> tuple[str, list[str]]:
    if find_spec("tensorflow") is None:
        return _optional("train"), []
    from worldmodels_repro.training.quiet import import_keras_quietly

    import_keras_quietly()
    from worldmodels_repro.training.keras import device_line, usable_precision

    both = usable_precision("mixed_bfloat16") != "float32"
    return f"{device_line()}, {'bfloat16 and float32' if both else 'float32 (no bfloat16)'}", []


def _s3(remote: str | None) -> tuple[str, list[str]]:
    if find_spec("boto3") is None and remote is None:
        return _optional("aws"), []
    if remote is None:
        return "not asked for (--remote s3://bucket/prefix)", []
    from worldmodels_repro.remote.store import NoAnswerError, Store

    try:
        store = Store(remote, "doctor")
        there = len(store.list())
        probe: Any = store.write(".doctor", b"", None)
        if probe is not None:
            store.remove(".doctor")
    except (UserError, NoAnswerError) as error:
        return "not to be had", [f"{remote}: {error}"]
    return f"{remote} can be listed ({there} objects) and written", []
