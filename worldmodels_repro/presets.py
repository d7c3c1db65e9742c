"""Configs by name: those that come along (``quick``, ``ablations/z``), and files by their path."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from worldmodels_repro.errors import UserError, did_you_mean
from worldmodels_repro.resources import folder


def presets() -> dict[str, Path]:
    """The configs that come along, by their names."""
    configs = folder("configs")
    return {path.relative_to(configs).with_suffix("").as_posix(): path
            for path in sorted(configs.rglob("*.yaml"))}


def find_config(name: str | Path) -> Path:
    """The file that a config's name or path stands for; a file goes before a preset.

    Raises:
        UserError: there is neither; close names are told.
    """
    path = Path(name)
    there = False
    with suppress(OSError):  # no name for a file, so none that is there
        there = path.exists()
    if there and not path.is_dir():
        return path
    word, known = path.as_posix().removesuffix(".yaml"), presets()
    if word in known:
        return known[word]
    if there:
        return path
    hint = did_you_mean(word.removeprefix("configs/"), known)
    raise UserError(f"no config at {path}{hint or ':'} name a file, or a preset, with --config, "
                    "e.g. --config quick")
