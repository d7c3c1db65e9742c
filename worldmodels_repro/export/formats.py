"""What a run can be exported as, a row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path

from worldmodels_repro.export.onnx_models import onnx_models
from worldmodels_repro.export.page_files import page_files
from worldmodels_repro.export.run_files import run_files
from worldmodels_repro.run import Run
from worldmodels_repro.storage import write_atomically

Said = Callable[[str], object]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        files: a run -> files by name; what is left out is said, and why.
        extra: of this package, that it needs; none for what every install can do.
    """

    files: Callable[[Run, Said], dict[str, bytes]]
    extra: str | None = None


FORMATS = {
    "onnx": Format(onnx_models, extra="export"),
    "weights-js": Format(page_files),
    "run": Format(run_files),
}


def export(run: Run, name: str, folder: Path, say: Said) -> list[Path]:
    """Write a run's files in one of the formats; returns where they are.

    Raises:
        UserError: the run lacks what the format needs.
        OSError: the folder can't be written.
    """
    written = []
    for file, data in FORMATS[name].files(run, say).items():
        path = folder / file
        write_atomically(path, methodcaller("write", data))
        written.append(path)
    return written
