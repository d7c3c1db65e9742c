"""Groups of runs beside each other: what they score, how surely, and what that took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.report import judgement, milestones
from worldmodels_repro.run import Run, load_run
from worldmodels_repro.statistics import improvement, interquartile_mean, resampled
from worldmodels_repro.tables import Comparison, Difference, Group, Reached, SeedCurve

RESAMPLES = 2000

Draw = TypeVar("Draw")


def comparison(groups: Mapping[str, Sequence[Path]]) -> Comparison:
    """Each group's scores over its seeds, and how it differs from the first.

    Intervals are of a stratified bootstrap: seeds are drawn anew, then each one's episodes.

    Args:
        groups: run folders by the group's name; a group's runs differ in their seed alone.

    Raises:
        UserError: fewer than two runs, one that is not judged, several games, or runs in a group
            that differ in more than their seed.
    """
    runs = {name: [load_run(path) for path in paths] for name, paths in groups.items()}
    flat = [run for members in runs.values() for run in members]
    if len(flat) < 2:
        raise UserError("comparing takes two runs or more: name another, or an experiment's "
                        "folder with several seeds")
    for members in runs.values():
        _refuse_unlike(members)
    judged = {name: [judgement.table(run) for run in members] for name, members in runs.items()}
    games = {table["environment"]: str(run.path) for name in runs
             for table, run in zip(judged[name], runs[name], strict=True)}
    if len(games) > 1:
        (one, here), (other, there) = list(games.items())[:2]
        raise UserError(f"{here} was judged on {one}, {there} on {other}: compare runs of one game")
    scores = {name: [{row["seed"]: row["score"] for row in table["episodes"]["agent"]}
                     for table in tables] for name, tables in judged.items()}
    names = list(runs)
    return {
        "environment": next(iter(games)),
        "solved": next(iter(judged.values()))[0]["solved"],
        "groups": [_group(name, runs[name], scores[name], judged[name][0]["solved"])
                   for name in names],
        "differences": [_difference(names[0], name, scores[names[0]], scores[name])
                        for name in names[1:]],
    }


def text(table: Comparison) -> str:
    """The table in lines."""
    width = max(len(group["name"]) for group in table["groups"])
    head = (f"{'':{width}s} seeds episodes    mean     95 % interval  median     IQM   worst seed"
            f"  episodes ≥ {table['solved']:g}")
    lines = [f"{table['environment']}, held-out episodes", head]
    for group in table["groups"]:
        low, high = group["ci95"]
        lines.append(f"{group['name']:{width}s}{len(group['seeds']):6d}{group['episodes']:9d}"
                     f"{group['mean']:8.1f}  {f'[{low:.1f}, {high:.1f}]':>16s}"
                     f"{group['median']:8.1f}{group['iqm']:8.1f}{group['worst']:13.1f}"
                     f"{group['solved']:15.0%}")
    if alone := [group["name"] for group in table["groups"] if len(group["seeds"]) == 1]:
        lines.append(f"one seed ({', '.join(alone)}): the interval is of its episodes alone, "
                     "another training may score otherwise")
    for difference in table["differences"]:
        low, high = difference["ci95"]
        lines.append(f"{difference['name']} - {difference['base']}: {difference['mean']:+.1f} "
                     f"[{low:+.1f}, {high:+.1f}] over {difference['shared']} shared tracks, "
                     f"P(improvement) {difference['improvement']:.2f}: {difference['verdict']}")
    lines += _milestones(table, width)
    return "\n".join(lines)


def _milestones(table: Comparison, width: int) -> list[str]:
    rows = [(group, row) for group in table["groups"] for row in group["milestones"]
            if row["seeds"]]
    if not rows:
        return []
    return ["validated, median of the seeds that got there",
            f"{'':{width}s}   score  seeds         steps  core-hours",
            *(f"{group['name']:{width}s}{row['score']:8.0f}"
              f"{row['seeds']:4d}/{len(group['seeds']):<2d}{row['steps']:14,.0f}"
              f"{row['core_hours']:12.2f}" for group, row in rows)]


def _refuse_unlike(runs: Sequence[Run]) -> None:
    first = runs[0].settings("evolve")
    for run in runs[1:]:
        own = run.settings("evolve")
        differ = [key for key in own if own[key] != first[key] and key != "seed"]
        if differ:
            changes = ", ".join(f"{key}: {first[key]} there, {own[key]} here" for key in differ)
            raise UserError(f"{run.path} is no other seed of {runs[0].path} ({changes}): to "
                            "compare what differs, name each run by itself")


def _group(name: str, runs: Sequence[Run], scores: Sequence[Mapping[int, float]],
           solved: float) -> Group:
    seeds = [np.array(list(row.values())) for row in scores]
    pooled = np.concatenate(seeds)
    means = [float(row.mean()) for row in seeds]

    def again(rng: np.random.Generator) -> tuple[float, float]:
        drawn = resampled(seeds, rng)
        return float(drawn.mean()), float(interquartile_mean(drawn))

    draws = np.array(_bootstrap(again))
    return {
        "name": name, "runs": [str(run.path) for run in runs],
        "seeds": [run.config.seed for run in runs], "episodes": len(pooled),
        "means": [round(mean, 3) for mean in means],
        "mean": round(float(pooled.mean()), 3),
        "ci95": _interval(draws[:, 0]),
        "median": round(median(means), 3),
        "iqm": round(float(interquartile_mean(pooled)), 3),
        "iqm_ci95": _interval(draws[:, 1]),
        "worst": round(min(means), 3),
        "lowest": round(float(pooled.min()), 3),
        "percentile": round(float(np.percentile(pooled, 1)), 3),
        "solved": round(float((pooled >= solved).mean()), 4),
        "milestones": _reached(runs), "curves": [_curve(run) for run in runs],
    }


def _reached(runs: Sequence[Run]) -> list[Reached]:
    tables = [milestones.table(run) for run in runs]
    rows: list[Reached] = []
    for same in zip(*tables, strict=True):
        there = [row for row in same if row["steps"] is not None]
        rows.append({"score": same[0]["score"], "seeds": len(there),
                     "steps": median(row["steps"] or 0 for row in there) if there else None,
                     "core_hours": round(median(row["core_hours"] or 0 for row in there), 4)
                     if there else None})
    return rows


def _curve(run: Run) -> SeedCurve:
    points = milestones.curve(run)
    return {"seed": run.config.seed, "score": [point[0] for point in points],
            "generation": [point[1] for point in points], "steps": [point[2] for point in points]}


def _difference(base_name: str, name: str, base: Sequence[Mapping[int, float]],
                other: Sequence[Mapping[int, float]]) -> Difference:
    tracks = sorted(set.intersection(*(set(row) for row in (*base, *other))))
    if not tracks:
        raise UserError(f"{name} and {base_name} were judged on other tracks: judge both with the "
                        "same evaluate.seed")
    first, second = (np.array([[row[track] for track in tracks] for row in rows])
                     for rows in (base, other))  # (seeds, tracks)

    def again(rng: np.random.Generator) -> tuple[float, float]:
        task = rng.integers(0, len(tracks), len(tracks))
        one, two = (part[rng.integers(0, len(part), len(part))][:, task]
                    for part in (first, second))
        return float(two.mean() - one.mean()), improvement(one, two)

    draws = np.array(_bootstrap(again))
    interval = _interval(draws[:, 0])
    return {"base": base_name, "name": name, "shared": len(tracks),
            "mean": round(float(second.mean() - first.mean()), 3), "ci95": interval,
            "improvement": round(improvement(first, second), 4),
            "improvement_ci95": _interval(draws[:, 1]),
            "verdict": "better" if interval[0] > 0 else "worse" if interval[1] < 0
            else "within the noise"}


def _bootstrap(draw: Callable[[np.random.Generator], Draw]) -> list[Draw]:
    rng = np.random.default_rng(0)
    return [draw(rng) for _ in range(RESAMPLES)]


def _interval(values: Sequence[float] | np.ndarray) -> list[float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return [round(float(low), 3), round(float(high), 3)]
