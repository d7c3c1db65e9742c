"""What a benchmark comes to: a row, the goal it is held to, and the table of them all."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from worldmodels_repro.cores import usable_cores
from worldmodels_repro.run import git_commit, versions


@dataclass(frozen=True)
class Goal:
    """What a row must reach and aims at; ``at_most`` where less is better.

    Attributes:
        of: which of the row's numbers is judged, ``ratio`` or ``value``.
    """

    of: str
    must: float
    aim: float | None = None
    at_most: bool = False


# The project's goals, by row. A row that is not here is for information.
GOALS = {
    "env": Goal("ratio", 20.0, 35.0),
    "learn_update.small": Goal("ratio", 1 / 1.5),
    "learn_update.large": Goal("ratio", 1 / 1.5),
    "env.envpool": Goal("ratio", 2.0, 3.5),
    "loop.bf16.gymnasium": Goal("ratio", 10.0, 16.0),
    "loop.bf16.limit": Goal("ratio", 0.5, 0.8),
    "loop.int8.f32": Goal("ratio", 1.25, 1.35),
    "dreams.512.bf16.plain": Goal("ratio", 1.2, 2.0),
    "dreams.512.bf16.vizdoom": Goal("ratio", 8.0, 13.0),
    "dreams.256.bf16.loop": Goal("ratio", 15.0, 30.0),
    "doom.bf16.vizdoom": Goal("ratio", 0.5, 0.7),
    "generation": Goal("ratio", 0.85, 0.95),
    "vae_train.bf16": Goal("ratio", 1.7, 2.2),
    "worker_memory": Goal("value", 300.0, 180.0, at_most=True),
    "vae_stream": Goal("value", 2048.0, at_most=True),
    **{f"page.{game}.{what}": goal for game in ("car", "doom") for what, goal in {
        "making": Goal("value", 60.0, at_most=True),
        "memory": Goal("value", 1536.0, at_most=True),
        "ready": Goal("value", 1000.0, at_most=True),
        "paint": Goal("value", 300.0, at_most=True),
        "steps": Goal("value", 100.0),
        "nine": Goal("value", 20.0)}.items()},
    "page.car.live": Goal("value", 49.0),  # the game's 50 and 35, less what timers err
    "page.doom.live": Goal("value", 34.3),
    "page.car.size": Goal("value", 4.0, at_most=True),
    "page.doom.size": Goal("value", 8.0, at_most=True),
}


@dataclass(frozen=True)
class Row:
    """One figure, and what it was measured beside.

    Attributes:
        name: the benchmark, then what tells its rows apart.
        value, baseline: in ``unit``, medians over the rounds; None where there is none.
        ratio: the median over the rounds of value / baseline.
        skipped: why there is no figure.
    """

    name: str
    value: float | None = None
    unit: str = ""
    baseline: float | None = None
    baseline_what: str = ""
    ratio: float | None = None
    skipped: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """The row as JSON, with its goal."""
        goal = GOALS.get(self.name)
        return asdict(self) | {"goal": asdict(goal) if goal else None}


def compare(name: str, unit: str, ours: list[float], theirs: list[float], baseline_what: str,
            **details: Any) -> Row:
    """A row from the rates of two contenders, round by round."""
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    spread = {"rounds": len(ours), "range": [min(ours), max(ours)],
              "baseline_range": [min(theirs), max(theirs)]}
    return Row(name, median(ours), unit, median(theirs), baseline_what, ratio,
               details=details | spread)


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| row | measured | beside | ratio | must | aim | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        goal = GOALS.get(row.name)
        beside = f"{_number(row.baseline)} {row.baseline_what}" if row.baseline else "–"
        measured = f"skipped: {row.skipped}" if row.skipped else f"{_number(row.value)} {row.unit}"
        lines.append(f"| {row.name} | {measured} | {beside} | {_number(row.ratio)} "
                     f"| {_wanted(goal, 'must')} | {_wanted(goal, 'aim')} "
                     f"| {_verdict(row, goal)} |")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What a figure depends on: CPU, cores, versions, date."""
    models = [line.partition(":")[2].strip() for line in
              Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {"cpu": models[0] if models else platform.processor(),
            "cores": usable_cores(), "versions": versions(),
            "commit": git_commit(), "load_before": os.getloadavg()[0],
            "date": time.strftime("%Y-%m-%d", time.gmtime())}


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _wanted(goal: Goal | None, which: str) -> str:
    number = getattr(goal, which, None)
    if goal is None or number is None:
        return ""
    return f"{'≤ ' if goal.at_most else ''}{_number(number)}"


def _verdict(row: Row, goal: Goal | None) -> str:
    reached = None if goal is None else getattr(row, goal.of)
    if goal is None or reached is None:
        return ""
    sign = -1.0 if goal.at_most else 1.0
    if sign * reached < sign * goal.must:
        return "missed"
    return "aim" if goal.aim is not None and sign * reached >= sign * goal.aim else "must"
