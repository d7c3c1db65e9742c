"""A user's own game, watched: what it does wrong is said in one line that names its file."""

from __future__ import annotations

import math
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import gymnasium
import numpy as np

import worldmodels_repro
from worldmodels_repro.errors import UserError
from worldmodels_repro.frame import FRAME
from worldmodels_repro.plugins import reason

PACKAGE = str(Path(worldmodels_repro.__file__).parent)


class UnfitError(UserError):
    """A game did what none may.

    Args:
        spec: ``path/to/file.py:NAME``, or a row's name.
        what: it did, in a line.
    """

    def __init__(self, spec: str, what: str):
        super().__init__(spec, what)  # as it is, so that it comes whole from a worker
        self.spec, self.what = spec, what

    def __str__(self) -> str:
        return (f"{self.spec}: {self.what}; mend it (worldmodels check-game {self.spec} tries it), "
                "then type the same command again: nothing is lost")


class _HungError(BaseException):
    """Passes through a game that catches every Exception."""


class Guard(gymnasium.Wrapper[np.ndarray, np.ndarray, Any, Any]):
    """An environment whose every answer is looked at.

    Args:
        make: () -> the environment: of frames (64, 64, 3) uint8, or of states (S,).
        spec: what names the game.
        hang_after: seconds that a call may take; 0: any.
        frames: whether it shows frames.
        state: S, numbers in the game's own state; 0 where it has none.

    Raises:
        UnfitError: it raises, ends the program, hangs, or gives what none may: so do ``reset``,
            ``step`` and ``render``.
    """

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], spec: str, hang_after: float,
                 frames: bool, state: int):
        self._spec, self._hang_after = spec, hang_after
        self._frames, self._state = frames, state
        with self._watched("making it"):
            env = make()
        super().__init__(env)

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode."""
        with self._watched("reset()"):
            seen, info = self.env.reset(seed=seed, options=options)
        self._look("reset()", seen, info)
        return seen, info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Act once."""
        with self._watched("step()"):
            seen, gained, terminated, truncated, info = self.env.step(action)
            reward, ended, cut = float(gained), bool(terminated), bool(truncated)
        if not math.isfinite(reward):
            raise UnfitError(self._spec, f"a reward is {reward}: each must be a number")
        self._look("step()", seen, info)
        return seen, reward, ended, cut, info

    def render(self) -> Any:
        """What the game renders."""
        with self._watched("render()"):
            return self.env.render()

    def _look(self, call: str, seen: Any, info: dict[str, Any]) -> None:
        if self._frames:
            shape = getattr(seen, "shape", None)
            kind = getattr(seen, "dtype", type(seen).__name__)
            if shape != FRAME or kind != np.uint8:
                raise UnfitError(self._spec, f"{call} shows V {shape} {kind}, and a frame is "
                                 f"{FRAME} uint8: end the game's `frames` with resized(picture)")
        if self._state and (not self._frames or "observation" in info):
            state = np.asarray(info["observation"])
            if state.shape != (self._state,) or state.dtype.kind not in "biuf":
                raise UnfitError(self._spec, f"{call} gives a state {state.shape} {state.dtype}, "
                                 f"and `state` says {self._state} numbers")
            if not np.isfinite(state).all():
                raise UnfitError(self._spec, f"{call} gives a state with "
                                 f"{state[~np.isfinite(state)][0]} in it: each must be a number")

    @contextmanager
    def _watched(self, call: str) -> Iterator[None]:
        try:
            with _limited(self._hang_after):
                yield
        except UserError:
            raise
        except _HungError as hung:
            raise UnfitError(self._spec, f"it hangs: {call} did not come back in "
                             f"{self._hang_after:g} s ({_place(hung)})") from None
        except (Exception, SystemExit) as error:
            raise UnfitError(self._spec, f"it raises {told(error)}") from error


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Ends a call after so many seconds, in the main thread: others get no signals.

    What holds Python's lock for good can't be ended so; the pool of workers sees to that.
    """
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _hung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _hung(number: int, frame: FrameType | None) -> None:
    raise _HungError


def told(error: BaseException) -> str:
    """An error in one line, with the last line of code outside of libraries."""
    return f"{reason(error)} in {_place(error)}"


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if frame.name != _hung.__name__]
    own = [frame for frame in frames if "site-packages" not in frame.filename
           and not frame.filename.startswith((PACKAGE, "<"))]
    at = (own or frames)[-1]
    return f"{at.filename}, line {at.lineno}"
