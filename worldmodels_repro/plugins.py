"""A user's own game, V, policy or tracker: ``path/to/file.py:NAME`` where a name is asked for."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from worldmodels_repro.errors import UserError

Kind = TypeVar("Kind")


def is_own(name: str) -> bool:
    """Whether a name is a place in a user's file."""
    return ".py:" in name


def load(name: str, kind: type[Kind], what: str) -> Kind:
    """What stands under NAME in a user's file.

    Args:
        name: ``path/to/file.py:NAME``; the path is from where the command was typed.
        kind: what it must be.
        what: how a message calls that, e.g. "a Game".

    Raises:
        UserError: the file is not there or does not run, or holds no such thing.
    """
    place, _, attribute = name.rpartition(":")
    module = _module(Path(place), name)
    found = getattr(module, attribute, None)
    if not isinstance(found, kind):
        there = "nothing" if found is None else type(found).__name__
        raise UserError(f"{name}: {there} is called {attribute} in {place}, and {what} is needed: "
                        "docs/adding.md shows one")
    return found


def _module(path: Path, name: str) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{name}: there is no file {path}: name it as path/to/file.py:NAME")
    # By its place: two files of one name are two modules, and a file runs once a process.
    title = f"own_{path.stem}_{hashlib.sha1(str(path.resolve()).encode()).hexdigest()[:8]}"
    if title in sys.modules:
        return sys.modules[title]
    specification = importlib.util.spec_from_file_location(title, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[title] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[title]
        raise UserError(f"{path} does not run ({type(error).__name__}: {error}): mend it, and "
                        "type the same command again") from error
    return module
