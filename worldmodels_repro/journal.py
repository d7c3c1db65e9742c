"""``run.log`` in a run folder: what was typed on this machine, what it said, and how it ended.

Lines are only ever appended, and it stays with the machine: a mirror does not carry it.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from worldmodels_repro.errors import UserError

NAME = "run.log"


class _Journal:
    """Lines for one run folder; they wait until it is one."""

    def __init__(self, run: Path):
        self._run, self._waiting = run, ""

    def write(self, text: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._waiting += "".join(f"{now} {line}\n" for line in text.splitlines())
        if not (self._run / "config.yaml").exists():
            return
        with suppress(OSError):  # a full or read-only disk is the stage's to tell
            with (self._run / NAME).open("a", encoding="utf-8") as file:
                file.write(self._waiting)
            self._waiting = ""


_open: list[_Journal] = []


def note(text: str) -> None:
    """Write a line into the journal that is open, if one is."""
    if _open:
        _open[-1].write(text)


@contextmanager
def journal(run: Path, words: Sequence[str]) -> Iterator[None]:
    """Keep a journal of a command line in a run folder while it is carried out."""
    _open.append(_Journal(run))
    note(f"$ worldmodels {shlex.join(words)}")
    end = "done"
    try:
        yield
    except UserError as error:
        end = f"refused: {error}"
        raise
    except KeyboardInterrupt:
        end = "interrupted"
        raise
    except BaseException as error:
        end = f"failed: {type(error).__name__}: {error}"
        raise
    finally:
        note(f"= {end}")
        _open.pop()
