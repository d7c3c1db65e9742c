"""Side by side: processes that take turns, so that what else the machine does falls on all."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")
Stretch = Callable[[int], float]  # the round's number -> a rate, in units of work a second

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
            "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True)
class Scale:
    """How much to measure.

    Attributes:
        rounds: turns that each contender takes.
        quick: seconds in place of minutes; the figures then mean nothing.
    """

    rounds: int
    quick: bool

    def pick(self, full: int, quick: int) -> int:
        """``full``, or ``quick`` where only the code is tried."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Contender:
    """One side of a comparison, in a process of its own.

    Attributes:
        prepare: a module's function that sets up, untimed, and returns the stretch to time.
        arguments: what it is called with.
        one_core: pinned to one core with one thread, or left free.
    """

    prepare: Callable[..., Stretch]
    arguments: tuple[Any, ...] = ()
    one_core: bool = True


def take_turns(contenders: dict[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Each contender's rate in every round; in a round all go once, one after the other."""
    context = multiprocessing.get_context("spawn")
    workers: dict[str, tuple[Any, Connection]] = {}
    try:
        for name, contender in contenders.items():
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(contender, there))
            with _inherited(contender.one_core):
                process.start()
            there.close()
            workers[name] = (process, here)
            _receive(name, here)
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(rounds):
            for name, (_, pipe) in workers.items():
                pipe.send(number)
                rates[name].append(_receive(name, pipe))
        return rates
    finally:
        for process, pipe in workers.values():
            pipe.close()
            process.join()


def in_process(function: Callable[..., Result], *arguments: Any, one_core: bool = True) -> Result:
    """Call a module's function in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as executor, _inherited(one_core):
        return executor.submit(function, *arguments).result()


def peak_mib() -> float:
    """MiB that this process has held at most.

    Not getrusage's: that one remembers the process that this one was started from.
    """
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


@contextmanager
def _inherited(one_core: bool) -> Iterator[None]:
    """Processes started here have one core and one thread, from before they load any library."""
    if not one_core:
        yield
        return
    affinity = os.sched_getaffinity(0)
    before = {name: os.environ.get(name) for name in _THREADS}
    os.sched_setaffinity(0, {min(affinity)})
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        os.sched_setaffinity(0, affinity)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(contender: Contender, pipe: Connection) -> None:
    try:
        stretch = contender.prepare(*contender.arguments)
        pipe.send(0.0)
        while True:
            try:
                number = pipe.recv()
            except EOFError:
                return
            pipe.send(stretch(number))
    except Exception:
        pipe.send(traceback.format_exc())


def _receive(name: str, pipe: Connection) -> float:
    try:
        answer = pipe.recv()
    except EOFError:
        raise RuntimeError(f"{name}: its process died") from None
    if isinstance(answer, str):
        raise RuntimeError(f"{name}: {answer}")
    return float(answer)
