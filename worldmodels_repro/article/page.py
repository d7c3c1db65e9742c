"""One HTML file of a run: its sections, its scripts, V, M and C, with no request to anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from worldmodels_repro.article import WEB
from worldmodels_repro.article.build import KERNEL
from worldmodels_repro.article.engine import engine_of, pack
from worldmodels_repro.article.sections import SECTIONS, Section, Source
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.report.sample import load_sample, sample_file, write_sample
from worldmodels_repro.report.temperatures import temperatures
from worldmodels_repro.run import Run, load_run
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.storage import Arrays, load_npz, write_atomically

ENGINE = ("random", "engine")
UNUSED = ("seed", "first", "rewards", "map_actions", "map_score", "map_pace")
REPLAYED = 6  # agents of generations that are shown at once


def write_article(folders: list[Path]) -> Path:
    """Write ``report/index.html`` in the first of these run folders.

    Args:
        folders: the run that dreams, then those that it is compared with.

    Raises:
        UserError: one of them is no run folder.
    """
    runs = [load_run(folder) for folder in folders]
    page = article(runs)
    path = runs[0].path / "report" / "index.html"
    write_atomically(path, lambda file: file.write(page))
    return path


def article(runs: list[Run]) -> bytes:
    """The page; the same bytes for the same runs.

    A sample that the first run lacks is played and kept first.
    """
    run = runs[0]
    game = game_named(run.config.game)
    tensors, about, no_engine, no_sample = _alive(run)
    means, pupils = (_generations(run), _pupils(run)) if about else ({}, {})
    for name, agents in (("agents", means), ("pupils", pupils)):
        if agents:
            tensors[name] = np.stack(list(agents.values()))
    source = Source(runs=runs, game=game, engine=about, no_engine=no_engine, no_sample=no_sample,
                    generations=list(means), temperatures=list(pupils))
    listed, data = pack(tensors) if about else ([], b"")
    told = {"engine": about, "tensors": listed, "generations": list(means),
            "temperatures": list(pupils),
            "seed": episode_seed(run.config.evaluate.seed, "dream", 0),
            "first": int(load_sample(run)["first"]) if about and not no_sample else 0,
            "names": game.action_names}
    filled = {section: inside for section in SECTIONS
              if (inside := _filled(section, source)) is not None}
    alive = [section.name for section, (_, whole) in filled.items()
             if whole and (WEB / f"{section.name}.js").exists()] if about else []
    cover, *others = (html for html, _ in filled.values())
    script = "\n".join(_read(f"{name}.js") for name in (*ENGINE, "ui", *alive)) + "\nopen();\n"
    style = _read("style.css")
    contents = "".join(f'<li><a href="#{section.name}">{escape(section.title)}</a></li>'
                       for section in filled if section.title)
    return Template(_read("page.html")).substitute(
        title=escape(f"{run.path.name}: a world model of {game.judge_id}"),
        script_hash=_hash(script), style_hash=_hash(style), style=style, script=script,
        contents=contents, cover=cover, sections="\n".join(others),
        about=json.dumps(told).replace("<", "\\u003c"),
        kernel=_base64(KERNEL.read_bytes()) if about else "", data=_base64(data)).encode()


def _alive(run: Run) -> tuple[Arrays, dict[str, Any] | None, str, str]:
    """Tensors, what the engine's are, why it can't dream, and why there is no sample."""
    try:
        tensors, about = engine_of(run)
    except UserError as error:
        return {}, None, str(error), ""
    try:
        if not sample_file(run).exists():
            write_sample(run)
        kept = load_sample(run)
    except UserError as error:
        return tensors, about, "", f"{error}; this section is made of held-out episodes"
    sample = {f"sample/{name}": np.asarray(array) for name, array in kept.items()
              if name not in UNUSED}
    return tensors | sample, about, "", ""


def _generations(run: Run) -> dict[int, np.ndarray]:
    """Means of the search that the run keeps: some, evenly spread, the last one among them."""
    files = sorted((run.folder("evolve") / "agents").glob("generation-*.npz"))
    places = sorted({round(place) for place in np.linspace(0, len(files) - 1, REPLAYED)})
    return {int(files[place].stem.split("-")[1]):
            load_npz(files[place], ["weights"])["weights"].astype(np.float32)
            for place in places} if files else {}


def _pupils(run: Run) -> dict[float, np.ndarray]:
    """Weights of the agents that were evolved in dreams of several temperatures."""
    weights = {}
    for row in temperatures(run):
        tau = row["temperature"]
        inner = run.path / "temperatures" / f"{tau:g}"
        path = (inner if inner.exists() else run.path) / "evolve" / "agent.npz"
        if path.exists():
            weights[tau] = load_npz(path, ["weights"])["weights"].astype(np.float32)
    return weights


def _filled(section: Section, source: Source) -> tuple[str, bool] | None:
    """A section's HTML, and whether the run has what it shows; None where it needs no section."""
    try:
        words, whole = section.fill(source), True
        if words is None:
            return None
        inside = Template(_read(f"{section.name}.html")).substitute(words)
    except UserError as error:
        inside, whole = f'<p class="missing">{escape(str(error))}</p>', False
    head = f'<h2 id="{section.name}-title">{escape(section.title)}</h2>\n' if section.title else ""
    return (f'<section id="{section.name}" aria-label="{escape(section.title or "cover")}">\n'
            f"{head}{inside}</section>"), whole


def _read(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
