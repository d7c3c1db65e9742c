"""Files that come along: inside the package where a wheel was installed, beside it in a checkout.

``setup.py`` puts them into the wheel; there is one copy of each in the repository.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

PACKAGE = Path(str(files("worldmodels_repro")))
# By their name in a wheel, where they lie in a checkout.
PLACES = {"configs": "configs", "aws": "aws", "benchmarks": "docs/results/benchmarks"}


def folder(name: str) -> Path:
    """The folder of files that ``PLACES`` calls so."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / PLACES[name]


def in_checkout() -> bool:
    """Whether the package lies in a checkout of the project, not in a folder of installed ones."""
    return (PACKAGE.parent / "setup.py").exists()
