"""Files: written whole or not at all, and read without ever running what is in them.

Every writer goes through a temporary name in the same folder and a rename, so that a reader
(or the same stage, started again after a power cut) sees the old file or the new one, never
half of one. Arrays are ``.npz`` with ``allow_pickle=False``; the rest is JSON, JSON lines or CSV.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from worldmodels_repro.errors import UserError, first_line

if TYPE_CHECKING:
    from filelock import FileLock

Arrays = dict[str, np.ndarray]
Shape = TypeVar("Shape")
Result = TypeVar("Result")


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Call ``write`` with a temporary file beside ``path``, then rename it to ``path``.

    Raises:
        OSError: the disk is full or read-only; the temporary file is gone, ``path`` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_npz(path: Path, arrays: Mapping[str, np.ndarray], level: int = 1) -> None:
    """Write named arrays as one ``.npz``; :func:`write_npz` tells of ``level``."""
    write_atomically(path, lambda file: write_npz(file, arrays, level))


def write_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray], level: int = 1) -> None:
    """Write named arrays as one ``.npz`` into an open file.

    ``level`` is zlib's: frames of flat colours shrink as well at 1 as at numpy's fixed 6, in a
    fifth of the time; 0 stores the arrays as they are (what an optimiser's state deserves).
    """
    method = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method, compresslevel=level or None) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def load_npz(path: Path, names: Iterable[str] | None = None,
             beside: Iterable[str] = ()) -> Arrays:
    """Read the arrays ``names`` (all, by default) of an ``.npz`` that holds ``beside`` as well.

    Raises:
        UserError: the file is missing, truncated, holds pickled objects, or lacks numbers of a
            name that is asked for.
    """
    try:
        # What is no archive np.load takes for a pickle, and says how to have it run.
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                raise zipfile.BadZipFile("no .npz archive")
        with np.load(path, allow_pickle=False) as archive:
            wanted = list(archive.files if names is None else names)
            missing = [name for name in (*wanted, *beside) if name not in archive.files]
            if missing:
                raise UserError(
                    f"{path} holds no array {missing[0]!r}: it was not written by this project; "
                    "remove it and run its stage again"
                )
            arrays = {name: archive[name] for name in wanted}
            words = [name for name in wanted if names is not None
                     and arrays[name].dtype.kind not in "biuf"]
            if words:
                raise UserError(f"{path} holds {arrays[words[0]].dtype} for {words[0]!r}, not "
                                "numbers: remove it and run its stage again")
            return arrays
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the stage that writes it") from None
    except UserError:
        raise
    except Exception as error:  # zipfile and NumPy have a dozen ways to stumble over bad bytes
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # the disk, not the file
        reason = first_line(error)
        if "allow_pickle" in reason:
            reason = "it holds Python objects, which are never loaded"
        raise UserError(
            f"{path} is truncated or not a file of this project ({reason}): "
            "remove it and run its stage again"
        ) from None


def needed(path: Path, stage: str) -> Path:
    """``path``, if it is there.

    Raises:
        UserError: naming the stage that writes it.
    """
    if not path.exists():
        raise UserError(f"{path} is missing (the stage '{stage}' writes it)")
    return path


def link_or_copy(source: Path, target: Path) -> None:
    """The same whole file at ``target``, sharing its bytes where the file system can.

    For files that are replaced, never written into.
    """
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links, or another one
        write_atomically(target, lambda file: file.write(source.read_bytes()))


def save_checkpoint(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as :func:`save_npz` does, keeping the ones before them beside."""
    if path.exists():
        before = _before(path)
        before.unlink(missing_ok=True)
        try:
            os.link(path, before)
        except OSError:  # a file system without hard links
            path.replace(before)
    save_npz(path, arrays, level=0)


def resume_checkpoint(path: Path, use: Callable[[Arrays, str], Result]) -> Result | None:
    """Give ``use`` the last good checkpoint; None where there is none yet.

    Where the newest is damaged, that is said, and the one before it is used.

    Raises:
        UserError: none of those that are there is good.
    """
    problem: UserError | None = None
    for candidate in (path, _before(path)):
        if candidate.exists():
            try:
                result = use(load_npz(candidate), str(candidate))
            except UserError as error:
                problem = problem or error
                continue
            if problem is not None:
                print(f"{problem}; going on from the checkpoint before it", file=sys.stderr)
            return result
    if problem is not None:
        raise problem
    return None


def has_checkpoint(path: Path) -> bool:
    """Whether there is one to go on from, good or damaged."""
    return path.exists() or _before(path).exists()


def load_step(state: Arrays, source: str) -> int:
    """How far a checkpoint came: its scalar ``step``.

    Raises:
        UserError: it holds none.
    """
    step = state.get("step")
    if step is None or step.shape != () or step.dtype.kind not in "iu" or step < 0:
        raise UserError(f"{source} does not say how far it came: remove it to start its stage "
                        "again")
    return int(step)


def _before(path: Path) -> Path:
    return path.with_name(f".before.{path.name}")


def save_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def load_json(path: Path, shape: type[Shape]) -> Shape:
    """Read a JSON file that must hold (at least) the keys of a TypedDict, of its types.

    Raises:
        UserError: missing, not JSON, or of another shape.
    """
    try:
        value: Shape = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the stage that writes it") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not valid JSON: restore it, or remove {path.parent} and run "
                        "its stage again") from None
    if problem := _misfit(value, shape):
        raise UserError(f"{path} is not a file of this project ({problem}): restore it, or "
                        f"remove {path.parent} and run its stage again")
    return value


def _misfit(value: object, shape: type) -> str:
    """What keeps a value from being of a TypedDict's shape; empty where it is."""
    from pydantic import ValidationError

    try:
        _adapter(shape).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return ""


@cache
def _adapter(shape: type) -> Any:
    from pydantic import TypeAdapter  # not for workers: they read no JSON

    return TypeAdapter(shape)


def append_json_line(path: Path, value: object) -> None:
    """Append one line of JSON; a line cut by a crash is dropped by :func:`load_json_lines`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            file.write(b"\n")
        file.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")


def save_json_lines(path: Path, values: list[Any]) -> None:
    """Write a whole JSON lines file."""
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    write_atomically(path, lambda file: file.write(text.encode()))


def load_json_lines(path: Path, shape: type[Shape]) -> list[Shape]:
    """The lines of a JSON lines file that are whole and of a TypedDict's shape.

    Others are left out: what they stood for is done again. An empty list where there is no file.
    """
    if not path.exists():
        return []
    values = []
    for line in path.read_bytes().splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not _misfit(value, shape):
            values.append(value)
    return values


def hold(path: Path, what: str) -> FileLock:
    """Lock a file for as long as this process lives (or until the result is released).

    Raises:
        UserError: another process holds it.
        OSError: the file can't be made there.
    """
    from filelock import FileLock, Timeout  # not for workers: they lock nothing

    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()  # what the disk refuses is told; what is refused from here on is the lock alone
    # The operating system's lock or none: a file that stands for one would outlive its process.
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(f"another process is at work on {what}: let it finish, or stop it "
                        "and type the same command again") from None
    except (OSError, NotImplementedError):
        pass  # a file system without locks: nothing to go by
    return lock


def save_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows of one shape as CSV with a header."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def load_csv(path: Path, *columns: str) -> list[dict[str, Any]]:
    """Rows of numbers (None where a cell is empty); an empty list where there is no file.

    Raises:
        UserError: not a CSV that :func:`save_csv` wrote, or one of ``columns`` lacks a number.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{name: _number(text) for name, text in row.items()}
                    for row in csv.DictReader(file)]
        if any(row[name] is None for row in rows for name in columns):
            raise ValueError
        return rows
    except (csv.Error, ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{path} is not a CSV of this project: restore it, or remove its stage's "
                        "folder and run the stage again") from None


def _number(text: str) -> int | float | None:
    if text == "":
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)
