"""What users write: a name in a Python file of their own, ``path/to/file.py:NAME``."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from worldmodels_repro.errors import UserError

Kind = TypeVar("Kind")
_PREFIX = "worldmodels_plugin"  # of the modules' names


def is_plugin(spec: str) -> bool:
    """Whether this is ``path/to/file.py:NAME``."""
    path, _, name = spec.rpartition(":")
    return path.endswith(".py") and name.isidentifier()


def load(spec: str, what: str, kind: type[Kind] | tuple[type[Kind], ...]) -> Kind:
    """What ``path/to/file.py:NAME`` stands for; the file is run once in a process.

    Args:
        spec: a relative path is below the current folder.
        what: it should be, for those who mistype it: ``tracker``.
        kind: the type, or types, that it must be of.

    Raises:
        UserError: not of that form, or the file is missing, can't be run, or holds no such thing.
    """
    path, _, name = spec.rpartition(":")
    if not is_plugin(spec):
        raise UserError(f"{spec!r} is no {what}: name one in a Python file of yours as "
                        "path/to/file.py:NAME")
    file = Path(path)
    if not file.is_file():
        raise UserError(f"there is no file {path}: name the one that holds the {what} {name}")
    module = _run(file.resolve())
    if not hasattr(module, name):
        raise UserError(f"{path} has no {name}: define it there, or name another {what}")
    found = getattr(module, name)
    if not isinstance(found, kind):
        raise UserError(f"{name} in {path} is of type {type(found).__name__}, no {what}: "
                        "docs/adding.md shows one")
    return found


def named(name: str, rows: Mapping[str, Kind], what: str,
          kind: type[Kind] | tuple[type[Kind], ...]) -> Kind:
    """A row of a table, or what ``path/to/file.py:NAME`` stands for.

    Raises:
        UserError: there is neither.
    """
    if is_plugin(name):
        return load(name, what, kind)
    if name not in rows:
        raise UserError(f"no {what} {name}: {', '.join(rows)} are known, or path/to/file.py:NAME")
    return rows[name]


@contextmanager
def blaming() -> Iterator[None]:
    """Within it, what is raised in a user's file is said in one line; a bug keeps its traceback.

    Raises:
        UserError: naming the file, and the line of it that failed.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        files = {module.__file__ for name, module in sys.modules.items()
                 if name.startswith(_PREFIX)}
        passed = [frame.filename for frame in traceback.extract_tb(error.__traceback__)
                  if frame.filename in files]
        if not passed:
            raise
        raise UserError(f"{_place(Path(passed[-1]), error)}: {reason(error)}: mend it there, and "
                        "type the same command again; nothing is lost") from error


def reason(error: BaseException) -> str:
    """An error's type, and the first line of what it says."""
    text = str(error.msg if isinstance(error, SyntaxError) else error)
    return f"{type(error).__name__} ({text.splitlines()[0]})" if text else type(error).__name__


@cache
def _run(file: Path) -> ModuleType:
    name = _PREFIX + "".join(letter if letter.isalnum() else "_"
                             for letter in str(file.with_suffix("")))
    spec = spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses, among others, look up the module they are made in
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"{_place(file, error)}: {reason(error)}: mend it there") from None
    return module


def _place(file: Path, error: BaseException) -> str:
    """The file, with the line of it that failed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == str(file)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f"{file}" if line is None else f"{file}, line {line}"
