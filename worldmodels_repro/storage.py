"""Files: written whole or not at all, and read without ever running what is in them.

Every writer goes through a temporary name in the same folder and a rename, so that a reader
(or the same stage, started again after a power cut) sees the old file or the new one, never
half of one. Arrays are ``.npz`` with ``allow_pickle=False``; the rest is JSON, JSON lines or CSV.
"""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from worldmodels_repro.errors import UserError

Arrays = dict[str, np.ndarray]


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
    """Write named arrays as one ``.npz``.

    ``level`` is zlib's: frames of flat colours shrink as well at 1 as at numpy's fixed 6, in a
    fifth of the time; 0 stores the arrays as they are (what an optimiser's state deserves).
    """
    method = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", method, compresslevel=level or None) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    write_atomically(path, write)


def load_npz(path: Path, names: Iterable[str] | None = None,
             beside: Iterable[str] = ()) -> Arrays:
    """Read the arrays ``names`` (all, by default) of an ``.npz`` that holds ``beside`` as well.

    Raises:
        UserError: the file is missing, truncated, holds pickled objects, or lacks a name.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            wanted = list(archive.files if names is None else names)
            missing = [name for name in (*wanted, *beside) if name not in archive.files]
            if missing:
                raise UserError(
                    f"{path} holds no array {missing[0]!r}: it was not written by this project; "
                    "remove it and run its stage again"
                )
            return {name: archive[name] for name in wanted}
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the stage that writes it") from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, TypeError,
            NotImplementedError, AttributeError, SyntaxError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} is truncated or not a file of this project ({reason}): "
            "remove it and run its stage again"
        ) from None


def save_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: missing, or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the stage that writes it") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not valid JSON: restore it, or remove it and run its stage "
                        "again") from None


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


def load_json_lines(path: Path) -> list[Any]:
    """Every whole line of a JSON lines file; an empty list where there is none."""
    if not path.exists():
        return []
    values = []
    for line in path.read_bytes().splitlines():
        try:
            values.append(json.loads(line))
        except ValueError:
            continue
    return values


def save_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows of one shape as CSV with a header."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def load_csv(path: Path) -> list[dict[str, Any]]:
    """Rows of a CSV with numbers as numbers; an empty list where there is no file.

    Raises:
        UserError: not a CSV that :func:`save_csv` wrote.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{name: _number(text) for name, text in row.items()}
                    for row in csv.DictReader(file)]
    except (csv.Error, UnicodeDecodeError, TypeError):
        raise UserError(f"{path} is not a CSV of this project: restore it, or remove its stage's "
                        "folder and run the stage again") from None


def _number(text: str) -> int | float | str | None:
    if text == "":
        return None
    for parse in (int, float):
        try:
            return parse(text)
        except ValueError:
            continue
    return text
