"""The rows of a memory on disk: a file for what came between two checkpoints.

A checkpoint of a memory as a whole would write the same transitions again and again. A file is
removed once no transition of it is remembered, now or at the checkpoint before.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.storage import load_npz, save_npz


class Chunks:
    """Rows by their numbers, ``000000000-000001234.npz`` for those from the first to before the
    last.

    Args:
        folder: where they lie.
        width: numbers in a row.
        dtype: theirs.
    """

    def __init__(self, folder: Path, width: int, dtype: type = np.float32):
        self._folder, self._width, self._dtype = folder, width, dtype
        self._fresh: list[np.ndarray] = []
        self._end = 0  # of what is on disk
        self._before = np.empty(0, int)

    def add(self, row: np.ndarray) -> None:
        """The next transition (width,)."""
        self._fresh.append(row)

    def write(self) -> None:
        """Put on disk what is not there yet: before the checkpoint that names it."""
        if self._fresh:
            end = self._end + len(self._fresh)
            save_npz(self._folder / f"{self._end:09d}-{end:09d}.npz",
                     {"rows": np.stack(self._fresh)})
            self._end, self._fresh = end, []

    def forget(self, numbers: np.ndarray) -> None:
        """Remove what holds none of these, nor of those before: after the checkpoint."""
        wanted = np.sort(np.concatenate([self._before, numbers]))
        for path, first, last in self._files():
            if np.searchsorted(wanted, first) == np.searchsorted(wanted, last):
                path.unlink()
        self._before = numbers.copy()

    def go_on(self, end: int, numbers: np.ndarray) -> None:
        """Take up a run of so many transitions, of which these are remembered.

        What came after them will come again.
        """
        for path, _, last in self._files():
            if last > end:
                path.unlink()
        self._end, self._before = end, numbers.copy()

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """The rows (N, width) of numbers (N,).

        Raises:
            UserError: a file is missing or damaged.
        """
        found = 0
        rows: np.ndarray = np.zeros((len(numbers), self._width), self._dtype)
        for path, first, last in self._files():
            here = (numbers >= first) & (numbers < last)
            if here.any():
                there = load_npz(path, ["rows"])["rows"]
                if there.shape != (last - first, self._width):
                    raise UserError(f"{path} holds {there.shape} numbers: it is of another run; "
                                    f"remove {self._folder.parent} to learn anew")
                rows[here] = there[numbers[here] - first]
                found += int(here.sum())
        if found < len(numbers):
            raise UserError(f"{self._folder} lacks {len(numbers) - found} transitions that were "
                            f"remembered: restore it, or remove {self._folder.parent} to learn "
                            "anew")
        return rows

    def _files(self) -> list[tuple[Path, int, int]]:
        return [(path, *map(int, path.stem.split("-")))  # type: ignore[misc]
                for path in sorted(self._folder.glob("[0-9]*-[0-9]*.npz"))]
