"""The exceptions that speak to the user, and what helps them to say what to type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can mend: one line that says what to type.

    The command line prints the message alone and exits with 2; anything else that is raised
    is a bug and keeps its traceback.
    """


class MissingExtraError(UserError):
    """A package is not installed that only some runs need.

    Args:
        package: what is missing.
        what_to_type: the command that installs it.
    """

    def __init__(self, package: str, what_to_type: str):
        super().__init__(f"{package} is not installed: type {what_to_type}")
        self.what_to_type = what_to_type


def first_line(error: BaseException) -> str:
    """What an error says, the first line of it; its type where it says nothing."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """", did you mean x or y?" where known words are close to this one; else empty."""
    close = difflib.get_close_matches(word, list(known), n=3)
    return f", did you mean {' or '.join(close)}?" if close else ""
