"""``worldmodels map``: how agents draw maps, and what told their classes apart, over seeds."""

from __future__ import annotations

import argparse
import json as jsons
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldmodels_repro.errors import UserError
from worldmodels_repro.verbs import numbers

if TYPE_CHECKING:
    from worldmodels_repro.run import Run


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which runs, and on how many episodes."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN",
                        help="run folders, or experiments' (each cell is a group of seeds)")
    parser.add_argument("--episodes", type=numbers.count, default=100, metavar="N",
                        help="held-out ones (default: 100)")
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")


def run(runs: list[Path], episodes: int = 100, json: bool = False) -> None:
    """Play and print: a line a group, its seeds' mean and the standard deviation between them.

    Args:
        runs: of games on maps.
        episodes: held-out ones of each agent, the same for all.
        json: whether to print all numbers.

    Raises:
        UserError: a run has neither an agent nor what the stage classify makes, or no maps.
    """
    from worldmodels_repro.envs.registry import game_named
    from worldmodels_repro.experiment import runs_in
    from worldmodels_repro.run import load_marker, load_run
    from worldmodels_repro.seeds import episode_seed
    from worldmodels_repro.truth.walks import agents_walks, others_walks
    from worldmodels_repro.worlds.agent import load_agent

    groups = {name: [load_run(path) for path in paths]
              for place in runs for name, paths in runs_in(place).items()}
    table: dict[str, Any] = {"episodes": episodes, "classifiers": {}, "walks": {}}
    others: dict[str, Any] = {}
    for name, members in groups.items():
        for member in members:
            game = game_named(member.config.game)
            if game.maps is None:
                raise UserError(f"{member.path} is of {game.name}, which is not played on maps")
            seeds = [episode_seed(member.config.evaluate.seed, "evaluation", k)
                     for k in range(episodes)]
            nothing = True
            if member.is_done("classify"):
                facts = load_marker(member.folder("classify")).get("facts", {})
                table["classifiers"].setdefault(name, []).append(
                    {key: value for key, value in facts.items() if key.startswith("val_")})
                nothing = False
            if _has_agent(member):
                table["walks"].setdefault(name, []).append(
                    agents_walks(load_agent(member.path), game, seeds))
                others = others or {game.name: others_walks(game, seeds)}
                nothing = False
            if nothing:
                raise UserError(f"{member.path} has no agent and no classifier yet: type "
                                f"worldmodels classify --run {member.path}, or learn")
    for game_name, players in others.items():
        table["walks"] |= {f"{player} on {game_name}": [walks]
                           for player, walks in players.items()}
    print(jsons.dumps(table, indent=2) if json else _text(table))


def _has_agent(member: Run) -> bool:
    return (member.folder(member.config.controller.stage) / "agent.npz").exists()


def _text(table: dict[str, Any]) -> str:
    lines: list[str] = []
    if table["classifiers"]:
        columns = {"right": "val_accuracy", "empty": "val_recall_empty",
                   "track": "val_recall_track", "shower": "val_recall_shower"}
        lines += _lines("held-out windows", table["classifiers"],
                        {title: lambda row, key=key: row[key] for title, key in columns.items()})
    if table["walks"]:
        lines += _lines(f"{table['episodes']} held-out walks", table["walks"], {
            "score": lambda row: row["score"], "steps": lambda row: row["steps"],
            "again": lambda row: row["again"], "right": lambda row: row["right"],
            **{name: lambda row, name=name: row["recall"][name] for name in ("track", "shower")}})
    return "\n".join(lines)


def _lines(title: str, groups: dict[str, list[Any]], columns: dict[str, Any]) -> list[str]:
    from statistics import mean, stdev

    wide = max(map(len, [title, *groups])) + 2
    lines = [f"{title:{wide}s}{'seeds':>6s}" + "".join(f"{name:>16s}" for name in columns)]
    for name, rows in groups.items():
        cells = []
        for value in columns.values():
            values = [number for row in rows if (number := value(row)) is not None]
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.3f}{spread}" if values else "-")
        lines.append(f"{name:{wide}s}{len(rows):>6d}" + "".join(f"{cell:>16s}" for cell in cells))
    return lines
