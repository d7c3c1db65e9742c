"""Stage 5: C evolves, in the real game or in M's dream (sections 2.4, 3.3 and 4, appendix A.4).

Each generation CMA-ES asks for candidates, all of them drive the same number of episodes, and
the mean return is their fitness. Every so often the CMA *mean* drives tracks that training
never sees; the best such mean is the agent (a single best candidate is mostly luck). After
each generation the whole state is on disk: a run that was killed goes on with the same numbers.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.evolution.players import Players, WorldSpec
from worldmodels_repro.evolution.strategy import Strategy, load_spread
from worldmodels_repro.progress import Progress
from worldmodels_repro.records import Evaluation
from worldmodels_repro.run import Run
from worldmodels_repro.sections import Evolve
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.storage import (
    Arrays,
    append_json_line,
    has_checkpoint,
    load_csv,
    load_json_lines,
    load_step,
    resume_checkpoint,
    save_checkpoint,
    save_csv,
    save_json,
    save_json_lines,
    save_npz,
)
from worldmodels_repro.tracking import Trackers
from worldmodels_repro.worlds.agent import Spread, load_agent, load_body, network_of
from worldmodels_repro.worlds.dream import load_dream


def run(stage_run: Run) -> None:
    """Evolve C for the generations that are missing."""
    config = stage_run.config
    settings = config.evolve
    if config.controller.stage != "evolve":
        raise UserError(f"controller.by={config.controller.by} learns: type "
                        + stage_run.command("learn") + ", or set controller.by=cma_es")
    network_of(config, 1)  # refuses a game that C can't be for
    origin = load_agent(Path(settings.start)) if settings.start else None
    if "real" in settings.worlds:
        game_named(config.game).require(settings.renderer)
    wide = (load_spread(Path(str(settings.start))).wide(settings.sigma) if settings.start_spread
            else None)
    _refuse_without_strategy(stage_run.folder("evolve"), settings)
    folder = stage_run.begin("evolve")
    if folder is None:
        return
    body = load_body(stage_run.path, config)
    start = origin.weights if origin is not None else np.zeros(body.shape.weights)
    search = Search(start, settings, episode_seed(config.seed, "models", 5), wide)
    generation = _resume(folder, search.strategy)
    if generation > settings.generations:
        raise UserError(f"{folder} holds {generation} generations already: to end there, type "
                        f"--set evolve.generations={generation}")
    rows = [row for row in load_csv(folder / "generations.csv", "generation", "steps", "hours")
            if row["generation"] <= generation]
    real = WorldSpec(body, settings.renderer, settings.slots)
    specs = {"real": real}
    if "dream" in settings.worlds or settings.sift > 1:
        specs["dream"] = replace(real, dream=load_dream(stage_run.path, config))
    with ExitStack() as stack:
        crews = {
            world: stack.enter_context(Players(specs[world], settings.workers, settings.chunk,
                                               settings.hang_after))
            for world in specs if world in settings.worlds or world == "dream"}
        players, judges = (crews[world] for world in settings.worlds)
        dreamers = crews["dream"] if settings.sift > 1 else None
        trackers = stack.enter_context(Trackers(stage_run.path, "evolve", config))
        progress = stack.enter_context(
            Progress("evolve", settings.generations, "generations", generation)
            if settings.budget is None else
            Progress("evolve", settings.budget, "steps", int(sum(row["steps"] for row in rows))))
        progress.say(f"{body.shape.weights} weights, {settings.population} candidates x "
                     f"{settings.rollouts} episodes {_where(settings)}")
        evaluated = max((row["generation"] for row in _evaluations(folder)), default=0)
        while True:
            over = _is_over(settings, generation, rows)
            if generation > evaluated and (generation % settings.evaluate_every == 0 or over):
                _evaluate_mean(search, judges, config.seed, generation, settings, stage_run)
                evaluated = generation
            if over:
                break
            generation += 1
            row = _one_generation(search, players, dreamers, config.seed, generation)
            row["hours"] = round((rows[-1]["hours"] if rows else 0.0) + row["seconds"] / 3600, 5)
            rows.append(row)
            if row["failed"]:
                progress.say(f"generation {generation}: {row['failed']} candidates have no finite "
                             "fitness; they rank last")
            # The rows first: on resume, rows beyond the checkpoint are dropped.
            save_csv(folder / "generations.csv", rows)
            save_checkpoint(folder / "strategy.npz",
                            search.strategy.state() | {"step": np.array(generation)})
            trackers.log(row, generation)
            stage_run.checkpoint("evolve")
            progress.add(1 if settings.budget is None else row["steps"],
                         f"generation {generation}, best {row['best']:.0f}, "
                         f"mean {row['mean']:.0f}, sigma {row['sigma']:.3f}, "
                         f"{row['steps'] / row['seconds']:.0f} steps/s")
    best = _best_evaluation(folder)
    stage_run.finish("evolve", generations=generation, steps=sum(row["steps"] for row in rows),
                     agent=best)


def _refuse_without_strategy(folder: Path, settings: Evolve) -> None:
    """A finished run may be kept without its strategy; to start over would write over it."""
    rows = load_csv(folder / "generations.csv", "generation", "steps")
    if len(rows) < 2 or _is_over(settings, rows[-1]["generation"], rows):
        return
    if not has_checkpoint(folder / "strategy.npz"):
        raise UserError(f"{folder} was kept without strategy.npz and cannot go on from generation "
                        f"{rows[-1]['generation']}: to start anew, copy the run and remove its "
                        "evolve/ and evaluate/")


def _is_over(settings: Evolve, generation: int, rows: list[dict[str, Any]]) -> bool:
    """Whether the generations, or the steps, are used up."""
    return generation >= settings.generations or (
        settings.budget is not None and sum(row["steps"] for row in rows) >= settings.budget)


class Search:
    """CMA-ES in the coordinates in which its first covariance is the identity.

    It does not mind which coordinates it works in (Hansen 2016, "The CMA Evolution Strategy: A
    Tutorial", section 3), so a search that starts with a covariance is one in others.

    Args:
        start: (n,) the first mean, where ``wide`` is None.
        settings: of the stage.
        seed: of every draw.
        wide: mean and covariance to start with.
    """

    def __init__(self, start: np.ndarray, settings: Evolve, seed: int, wide: Spread | None):
        self.settings, self._wide = settings, wide
        first, sigma = (start, settings.sigma) if wide is None else (np.zeros(len(start)), 1.0)
        self.strategy = Strategy(first, sigma, settings.population, seed, settings.diagonal)

    def weights(self, places: np.ndarray) -> np.ndarray:
        """What CMA-ES names (..., n) -> C's weights (..., n)."""
        return places if self._wide is None else self._wide.candidates(places)

    def fitness(self, returns: np.ndarray) -> np.ndarray:
        """Returns (candidates, episodes) -> (candidates,): means over the worst share of them."""
        count = math.ceil(self.settings.worst * returns.shape[1])
        return np.asarray(np.sort(returns, axis=1)[:, :count].mean(axis=1)
                          if count < returns.shape[1] else returns.mean(axis=1))


def _one_generation(search: Search, players: Players, dreamers: Players | None, seed: int,
                    generation: int) -> dict[str, Any]:
    """Ask, sift, play, tell; returns the generation's row."""
    clock, settings, strategy = time.monotonic(), search.settings, search.strategy
    places = strategy.ask(settings.sift)  # (sift x population, n)
    if dreamers is not None:
        places = places[_best_dreamers(search, dreamers, places, seed, generation)]
    returns, steps = _played(search, players, places, seed, generation, settings.rollouts)
    fitness = search.fitness(returns)
    failed = int((~np.isfinite(fitness)).sum())
    sigma = strategy.sigma
    strategy.tell(places, fitness)
    finite = fitness[np.isfinite(fitness)]
    return {"generation": generation, "best": round(float(finite.max()), 3),
            "mean": round(float(finite.mean()), 3), "std": round(float(finite.std()), 3),
            "worst": round(float(finite.min()), 3), "failed": failed,
            "sigma": round(sigma, 6), "steps": steps,
            "seconds": round(time.monotonic() - clock, 3)}


def _played(search: Search, players: Players, places: np.ndarray, seed: int, generation: int,
            rollouts: int) -> tuple[np.ndarray, int]:
    """Returns (candidates, rollouts) of a generation, and the steps that they took."""
    settings, tracks = search.settings, []
    for candidate in range(len(places)):
        key = (generation, 0 if settings.common_tracks else candidate)
        tracks += [episode_seed(seed, "training", *key, k) for k in range(rollouts)]
    driver = np.repeat(np.arange(len(places)), rollouts)
    played = players.play(search.weights(places), driver, tracks, settings.max_steps,
                          settings.patience)
    return played.returns.reshape(len(places), rollouts), int(played.steps.sum())


def _best_dreamers(search: Search, dreamers: Players, places: np.ndarray, seed: int,
                   generation: int) -> np.ndarray:
    """Which of the candidates fare best in M's dream, in the order in which they were asked for."""
    returns, _ = _played(search, dreamers, places, seed, generation, search.settings.sift_rollouts)
    fitness = np.nan_to_num(search.fitness(returns), nan=-np.inf)
    return np.sort(np.argsort(-fitness, kind="stable")[:search.settings.population])


def _evaluate_mean(search: Search, players: Players, seed: int, generation: int,
                   settings: Evolve, stage_run: Run) -> None:
    """The CMA mean on the validation tracks; the best one so far becomes the agent."""
    folder = stage_run.folder("evolve")
    mean = search.weights(search.strategy.mean).astype(np.float32)
    tracks = [episode_seed(seed, "validation", k) for k in range(settings.evaluate_rollouts)]
    # Whole episodes, whatever training cuts short: this is what selects the agent.
    played = players.play(mean[None], np.zeros(len(tracks), int), tracks,
                          game_named(stage_run.config.game).max_steps)
    row: Evaluation = {
        "generation": generation, "episodes": len(tracks),
        "mean": round(float(played.returns.mean()), 3),
        "std": round(float(played.returns.std(ddof=1)) if len(tracks) > 1 else 0.0, 3),
        "steps": int(played.steps.sum())}
    best = _best_evaluation(folder)
    save_npz(folder / "agents" / f"generation-{generation:05d}.npz", {"weights": mean})
    if best is None or row["mean"] > best["mean"]:
        save_npz(folder / "agent.npz", {"weights": mean})
        save_json(folder / "agent.json", {"run": stage_run.path.name, **_origin(settings), **row})
    # Last: killed before it, all of this comes again.
    append_json_line(folder / "evaluations.jsonl", row)


def _origin(settings: Evolve) -> dict[str, Any]:
    """Where C evolved, and where this mean was chosen."""
    world, chosen_in = settings.worlds
    if "dream" not in settings.worlds:
        return {"world": world}
    return {"world": world, "chosen_in": chosen_in, "temperature": settings.temperature}


def _where(settings: Evolve) -> str:
    dreamt = f"M's dream at temperature {settings.temperature:g}"
    world, chosen_in = ({"real": "the real game", "dream": dreamt}[world]
                        for world in settings.worlds)
    return f"in {world}" if world == chosen_in else f"in {world}, means evaluated in {chosen_in}"


def _best_evaluation(folder: Path) -> Evaluation | None:
    return max(_evaluations(folder), key=lambda row: row["mean"], default=None)


def _evaluations(folder: Path) -> list[Evaluation]:
    return load_json_lines(folder / "evaluations.jsonl", Evaluation)


def _resume(folder: Path, strategy: Strategy) -> int:
    """Put the last checkpoint into the strategy; returns its generation, 0 where there is none.

    An evaluation of a generation beyond it (the run was killed in between) is dropped; it will
    come again.
    """
    def use(state: Arrays, source: str) -> int:
        step = load_step(state, source)
        del state["step"]
        strategy.restore(state, source)
        return step

    generation = resume_checkpoint(folder / "strategy.npz", use) or 0
    rows = _evaluations(folder)
    kept = [row for row in rows if row["generation"] <= generation]
    if len(kept) < len(rows):
        save_json_lines(folder / "evaluations.jsonl", kept)
    return generation
