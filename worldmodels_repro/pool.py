"""Who computes: worker processes on this machine, or MPI ranks under ``mpirun``; the same code.

Work is cut into tasks in an order that does not depend on how many workers there are, and
results come back in that order, so neither changes a number. A worker that dies, or hangs, is
replaced and the tasks it left are done again; an error in a task ends everything with its
traceback. A rank can't be replaced: its death ends the job, and the next start goes on.
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.context import SpawnContext, SpawnProcess
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

from worldmodels_repro.cores import usable_cores
from worldmodels_repro.errors import UserError
from worldmodels_repro.plugins import blaming

Task = TypeVar("Task")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DEATHS, _HANGS = 10, 3  # of workers, in one round of tasks, before it is no accident any more
_numbers = itertools.count()
_open: set[int] = set()


class Pool(Generic[Task, Result]):
    """Workers that stay up, each made once by ``make_worker()`` where it works.

    Args:
        make_worker: () -> the function that does a task. It travels to the workers, so it is a
            module's function, a ``functools.partial`` of one, or an object with plain fields.
        workers: processes; 0 is one for each core this process may use. Under an MPI launcher
            the ranks beside the first one are the workers, whatever is asked for; several pools
            then share them, each with workers of its own.
        hang_after: seconds without any result after which workers count as hung; 0 never.
        own: a user's ``path/to/file.py:NAME`` that they run, which may be why they die or hang.
    """

    def __init__(self, make_worker: Callable[[], Callable[[Task], Result]], workers: int,
                 hang_after: float = 0.0, own: str = ""):
        self.workers = ranks() - 1 or workers or usable_cores()
        self._number, self._make_worker = next(_numbers), make_worker
        _open.add(self._number)
        self._hang_after, self._last_sign = hang_after, time.monotonic()
        self._doubt = f"look whether {own} does it (worldmodels check-game {own}), or " * bool(own)
        self._processes: list[SpawnProcess] = []
        self._executor = self._start()

    def map(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Do every task, from now on; the results come in the tasks' order.

        Raises:
            UserError: as they come: workers keep dying (as they do when memory runs out), or
                hanging.
        """
        waiting = list(tasks)
        self._last_sign = time.monotonic()
        return self._results(waiting, [self._submit(task) for task in waiting])

    def _results(self, waiting: list[Task], futures: list[Future[Result]]) -> Iterator[Result]:
        deaths = hangs = done = 0
        while done < len(waiting):
            try:
                result = self._result(futures[done])
            except (BrokenProcessPool, TimeoutError) as error:
                if isinstance(error, TimeoutError):
                    hangs += 1
                    self._end_hung(hangs)
                else:
                    deaths += 1
                if deaths > _DEATHS:
                    raise UserError(
                        f"workers died {deaths} times over: {self._doubt}free memory, or use "
                        "fewer of them with --set evolve.workers=1; then run the same command "
                        "again"
                    ) from None
                self._executor.shutdown(wait=False, cancel_futures=True)
                self._executor = self._start()
                self._last_sign = time.monotonic()
                futures[done:] = [future if _has_result(future) else self._submit(task)
                                  for future, task in zip(futures[done:], waiting[done:],
                                                          strict=True)]
                continue
            yield result
            done += 1

    def _submit(self, task: Task) -> Future[Result]:
        future: Future[Result] = self._executor.submit(_do, self._number, task)
        future.add_done_callback(self._note_sign)
        return future

    def _note_sign(self, future: Future[Any]) -> None:
        self._last_sign = time.monotonic()

    def _result(self, future: Future[Result]) -> Result:
        """A task's result; TimeoutError when no worker has finished anything for too long."""
        while self._hang_after and not future.done():
            left = self._last_sign + self._hang_after - time.monotonic()
            if left <= 0:
                raise TimeoutError
            wait([future], left)
        return future.result()

    def _end_hung(self, hangs: int) -> None:
        """Kill the workers; under MPI, where none can be replaced, the job."""
        problem = f"no worker has finished a task for {self._hang_after:.0f} s"
        advice = (f"{self._doubt}look at the machine, or raise evolve.hang_after if an episode "
                  "may take longer; then run the same command again")
        if ranks() > 1:
            print(f"worldmodels: {problem}: {advice}", file=sys.stderr, flush=True)
            from mpi4py import MPI

            MPI.COMM_WORLD.Abort(2)
        for process in self._processes:
            process.kill()
        if hangs >= _HANGS:
            raise UserError(f"{problem}, {hangs} times over: {advice}")
        print(f"workers: {problem}; new ones do theirs again", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Let the workers go."""
        _open.discard(self._number)
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Pool[Task, Result]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        _open.discard(self._number)
        self._executor.shutdown(wait=kind is None, cancel_futures=True)
        if kind is not None:
            # The tasks that run now are of no use any more; some last minutes.
            for process in self._processes:
                process.terminate()

    def _start(self) -> Executor:
        made = (self._number, self._make_worker, frozenset(_open))
        if ranks() > 1:
            from mpi4py.futures import MPIPoolExecutor

            return MPIPoolExecutor(initializer=_prepare, initargs=made)
        self._processes = []
        return ProcessPoolExecutor(self.workers, _OneThreadEach(self._processes), _prepare, made)


class _OneThreadEach(SpawnContext):
    """Spawns workers of one thread, and keeps a list of them."""

    def __init__(self, made: list[SpawnProcess]):
        super().__init__()
        self._made = made

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """A process to start."""
        process = _OneThread(*args, **options)
        self._made.append(process)
        return process


class _OneThread(SpawnProcess):
    """Told so where BLAS reads it, before the worker loads BLAS."""

    def start(self) -> None:
        before = {name: os.environ.get(name) for name in THREADS}
        os.environ.update(dict.fromkeys(THREADS, "1"))
        try:
            super().start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def ranks() -> int:
    """Ranks that an MPI launcher started; 1 without one."""
    return max(int(os.environ.get(name, "1"))
               for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE"))


def _has_result(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


_workers: dict[int, Callable[[Any], Any]] = {}
"""In a worker: what does the tasks of each pool. MPI ranks may serve several pools."""


def _prepare(number: int, make_worker: Callable[[], Callable[[Any], Any]],
             still_open: frozenset[int]) -> None:
    # Later pools may have been prepared before this one: MPI keeps no order between them.
    for gone in [there for there in _workers if there < number and there not in still_open]:
        del _workers[gone]
    if not _workers:
        # Ctrl-C is the parent's to answer: it ends the workers itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        atexit.register(_workers.clear)  # games go before the libraries that they stand on
        threading.Thread(target=_die_with_the_parent, daemon=True).start()
    try:
        with blaming():
            _workers[number] = make_worker()
    except Exception as error:
        # Raised here it would end the process, and all that take its place.
        _workers[number] = partial(_raise, error)


def _raise(error: Exception, task: Any) -> NoReturn:
    raise error


def _do(number: int, task: Any) -> Any:
    with blaming():
        return _workers[number](task)


def _die_with_the_parent() -> None:
    """A parent that is killed outright can't end its workers: they see to it themselves."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
