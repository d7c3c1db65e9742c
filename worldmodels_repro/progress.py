"""A bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

from worldmodels_repro.journal import note


class Progress:
    """Counts towards ``total``; on a terminal a bar with an ETA, elsewhere a line now and then.

    Args:
        stage: what stands before the bar.
        total: units to do.
        unit: their name.
        done: units done in an earlier sitting.
        every: seconds between plain lines.
    """

    def __init__(self, stage: str, total: int, unit: str, done: int = 0, every: float = 30.0):
        self._stage, self._total, self._unit = stage, total, unit
        self._done = self._first = done
        self._every, self._said, self._start = every, time.monotonic(), time.monotonic()
        self._bar = tqdm(total=total, initial=done, unit=f" {unit}", desc=stage,
                         dynamic_ncols=True) if sys.stderr.isatty() else None

    def add(self, units: int = 1, facts: str = "") -> None:
        """Count ``units`` more; ``facts`` stand behind the bar, or in the line."""
        self._done += units
        if self._bar is not None:
            self._bar.set_postfix_str(facts, refresh=False)
            self._bar.update(units)
            return
        now = time.monotonic()
        if now - self._said < self._every and self._done < self._total:
            return
        self._said = now
        rate = (self._done - self._first) / max(now - self._start, 1e-9)
        # A budget of steps is overrun by part of a generation.
        left = max(0, self._total - self._done) / rate if rate else 0.0
        self._print(f"{self._done}/{self._total} {self._unit}, {rate:.3g}/s, "
                    f"{clock(left)} left{', ' + facts if facts else ''}")

    def say(self, text: str) -> None:
        """A line of its own, above the bar; the run's journal has it too."""
        note(f"{self._stage}: {text}")
        self._print(text)

    def _print(self, text: str) -> None:
        line = f"{self._stage}: {text}"
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()


def say(text: str) -> None:
    """A line for the user where there is nothing to count, and for the run's journal."""
    note(text)
    print(text, file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
