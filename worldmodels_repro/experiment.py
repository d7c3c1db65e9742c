"""An experiment: one config over several seeds, and over settings that are crossed.

::

    logs/<name>/seed-1/                  each an ordinary run
    logs/<name>/seed-2/
    logs/<name>/sigma=0.1/               ... with --grid evolve.sigma=0.1,0.2
    logs/<name>/sigma=0.1/seed-1/        ... with both
    logs/<name>/pass-1/                  a config of several passes; pass-2 goes on from pass-1
    logs/<name>/seed-1/pass-1/           ... over several seeds

Stages whose settings agree are made once, over all calls that name the folder: in the other runs
theirs is a relative link, which a copy of the experiment keeps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from worldmodels_repro.config import load_config, parse
from worldmodels_repro.errors import UserError
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.run import Run, load_run
from worldmodels_repro.sections.kinds import DRIVEN


@dataclass(frozen=True)
class Member:
    """One run of an experiment.

    Attributes:
        run: its folder and settings.
        overrides: what makes it differ from the config, as ``--set`` takes it.
    """

    run: Run
    overrides: tuple[str, ...]


def members(folder: Path, config: str | Path, overrides: Sequence[str],
            seeds: Sequence[int] | None, grid: Sequence[str]) -> list[Member]:
    """All runs of an experiment, in the order in which they are made: seed by seed.

    Args:
        folder: of the experiment.
        config: settings that all share, by name or path.
        overrides: ``a.b=c``, in place of the config's.
        seeds: of each cell; None for the config's own, without a folder for it.
        grid: ``a.b=c,d,...``, a line a setting; every combination is a cell.

    Raises:
        UserError: settings that can't be, or the same ones twice.
    """
    axes = [_axis(line) for line in grid]
    cells = [dict(zip((key for key, _ in axes), values, strict=True))
             for values in product(*(values for _, values in axes))]
    found = []
    for seed, cell in product([None] if seeds is None else seeds, cells):
        own = [*overrides, *(f"{key}={json.dumps(value)}" for key, value in cell.items())]
        path = folder / _name(cell)
        if seed is not None:
            own.append(f"seed={seed}")
            path /= f"seed-{seed}"
        found += _passes(path, config, own)
    paths = [member.run.path for member in found]
    if (twice := next((path for path in paths if paths.count(path) > 1), None)) is not None:
        raise UserError(f"--seeds and --grid name {twice} twice: give each value once")
    return found


def _passes(path: Path, config: str | Path, overrides: list[str]) -> list[Member]:
    """The runs of one recipe: one, or its passes, each going on from the one before."""
    settings = load_config(config, overrides)
    if not settings.passes:
        return [Member(Run(path, settings), tuple(overrides))]
    found: list[Member] = []
    for number, changes in enumerate(settings.passes, 1):
        own, before = _flat(changes), path / f"pass-{number - 1}"
        if number > 1:
            starts = {"rollouts.keep": before, "vae.start": before, "memory.start": before,
                      "evolve.start": before}
            if set(DRIVEN) & set(own.get("rollouts.policies", ())):
                starts["rollouts.agent"] = before
            own = {key: str(value) for key, value in starts.items()} | own
        words = [*(f"{key}={json.dumps(value)}" for key, value in own.items()), *overrides,
                 "passes=[]"]
        found.append(Member(Run(path / f"pass-{number}", load_config(config, words)),
                            tuple(words)))
    return found


def share(run: Run, others: Sequence[Run]) -> list[str]:
    """Link the stages of a run whose settings are those of another one; returns their names.

    What the run has of its own stays.
    """
    for name, stage in STAGES.items():
        if not (stage.sections or stage.needs) or run.folder(name).exists():
            continue
        settings = run.settings(name)
        like = next((other for other in others
                     if other.path != run.path and other.settings(name) == settings
                     and not other.folder(name).is_symlink() and other.is_done(name)), None)
        if like is not None:
            run.borrow(like, name)
    return [name for name in STAGES if run.folder(name).is_symlink()]


def seeds_of(text: str) -> list[int]:
    """``5`` is seeds 1 to 5; ``4-6`` and ``2,4`` are those.

    Raises:
        UserError: it is none of these.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if match is None:
            raise UserError(f"--seeds {text}: write how many, e.g. 5, or which, e.g. 4-6 or 2,4")
        first, last = int(match[1]), int(match[2] or match[1])
        seeds += range(first, last + 1)
    if "," not in text and "-" not in text:
        seeds = list(range(1, int(text) + 1))
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text}: at least one seed, and each once")
    return seeds


def runs_in(folder: Path) -> dict[str, list[Path]]:
    """The runs at a place, by group: a run by itself, an experiment's seeds cell by cell.

    Raises:
        UserError: there is none.
    """
    groups = _groups(folder)
    if not groups:
        raise UserError(f"{folder} holds no run (no config.yaml) and no seed-1, seed-2, ...: name "
                        "a run folder, or an experiment's")
    return groups


def _groups(folder: Path) -> dict[str, list[Path]]:
    seeds = [run for seed in sorted(folder.glob("seed-*"), key=_order)
             if (run := _run_at(seed)) is not None]
    groups = {str(folder): seeds} if seeds else {}
    for cell in sorted(folder.glob("*=*")):
        groups |= _groups(cell)
    # An experiment may lie in the folder of a run of the same config.
    if not groups and (run := _run_at(folder)) is not None:
        return {str(folder): [run]}
    return groups


def every(folder: Path) -> Iterator[Run]:
    """Every run that there is of an experiment, each pass by itself."""
    if (folder / "config.yaml").exists():
        yield load_run(folder)
    for pattern in ("seed-*", "pass-*", "*=*"):
        for place in sorted(folder.glob(pattern), key=_order):
            yield from every(place)


def _run_at(folder: Path) -> Path | None:
    """The run that a folder is, or that its passes come to."""
    return folder if (folder / "config.yaml").exists() else _last_pass(folder)


def _last_pass(folder: Path) -> Path | None:
    """The run that a recipe of several passes comes to."""
    passes = sorted((config.parent for config in folder.glob("pass-*/config.yaml")), key=_order)
    return passes[-1] if passes else None


def _order(folder: Path) -> tuple[str, int]:
    number = folder.name.rpartition("-")[2]
    return str(folder.parent), int(number) if number.isdigit() else 0


def _flat(changes: dict[str, Any]) -> dict[str, Any]:
    """``{vae: {z: 8}}`` as ``{vae.z: 8}``."""
    return {key: value for section, values in changes.items()
            for key, value in ({f"{section}.{name}": inner for name, inner in values.items()}
                               if isinstance(values, dict) else {section: values}).items()}


def _axis(line: str) -> tuple[str, list[Any]]:
    key, equals, text = line.partition("=")
    values = parse(f"[{text}]", f"--grid {line}") if equals else []
    if not key.strip() or not values:
        raise UserError(f"--grid {line}: write it as section.key=value,value, "
                        "e.g. --grid evolve.sigma=0.05,0.1")
    return key.strip(), list(values)


def _name(cell: dict[str, Any]) -> str:
    """A folder's name for a cell, short where that is clear: ``sigma=0.1,population=32``."""
    last = [key.rpartition(".")[2] for key in cell]
    return ",".join(f"{key if last.count(short) > 1 else short}={_word(value)}"
                    for (key, value), short in zip(cell.items(), last, strict=True))


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[^\w.+-]+", "-", text).strip("-")
