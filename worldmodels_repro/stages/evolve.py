"""Stage 5: C evolves, in the real game or in M's dream (sections 2.4, 3.3 and 4, appendix A.4).

Each generation a strategy asks for candidates, all of them drive the same number of episodes, and
the mean return is their fitness; or one C drives with noise, and PPO learns from every step. Every
so often the *mean* (C without noise) drives tracks that training never sees; the best such mean is
the agent (a single best candidate is mostly luck). After each generation the whole state is on
disk: a run that was killed goes on with the same numbers.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from worldmodels_repro.config import Config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.evolution.by_strategy import StrategySearch
from worldmodels_repro.evolution.players import Players, WorldSpec, dream_of
from worldmodels_repro.evolution.search import Search
from worldmodels_repro.evolution.strategies import load_spread
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.progress import Progress
from worldmodels_repro.records import Evaluation
from worldmodels_repro.run import Run
from worldmodels_repro.sections import EVOLVED, Evolve, World, in_words
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
from worldmodels_repro.training.quiet import import_keras_quietly
from worldmodels_repro.worlds.agent import Body, Spread, load_agent, load_body, network_of


def run(stage_run: Run) -> None:
    """Evolve C for the generations that are missing."""
    config = stage_run.config
    settings = config.evolve
    if config.controller.stage != "evolve":
        raise UserError(f"controller.by={config.controller.by} is the stage learn's: type "
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
    search = _search(config, body, start, wide)
    generation = _resume(folder, search)
    if generation > settings.generations:
        raise UserError(f"{folder} holds {generation} generations already: to end there, type "
                        f"--set evolve.generations={generation}")
    rows = [row for row in load_csv(folder / "generations.csv", "generation", "steps", "hours")
            if row["generation"] <= generation]
    sifting: tuple[World, ...] = ("dream",) if settings.sift > 1 else ()
    specs = {world: WorldSpec(body, settings.renderer, settings.slots,
                              dream_of(stage_run.path, config, world))
             for world in dict.fromkeys((*settings.worlds, *sifting))}
    with ExitStack() as stack:
        crews = {
            world: stack.enter_context(Players(spec, settings.workers, settings.chunk,
                                               settings.hang_after))
            for world, spec in specs.items()}
        players, judges = (crews[world] for world in settings.worlds)
        dreamers = crews["dream"] if settings.sift > 1 else None
        trackers = stack.enter_context(Trackers(stage_run.path, "evolve", config))
        progress = stack.enter_context(
            Progress("evolve", settings.generations, "generations", generation)
            if settings.budget is None else
            Progress("evolve", settings.budget, "steps", int(sum(row["steps"] for row in rows))))
        progress.say(f"{body.shape.weights} weights, {_how_many(config)} {_where(settings)}")
        evaluated = max((row["generation"] for row in _evaluations(folder)), default=0)
        while True:
            over = _is_over(settings, generation, rows)
            if generation > evaluated and (generation % settings.evaluate_every == 0 or over):
                _evaluate(search, judges, config.seed, generation, settings, stage_run)
                evaluated = generation
            if over:
                break
            generation += 1
            clock = time.monotonic()
            row = search.generation(players, dreamers, config.seed, generation)
            row["seconds"] = round(time.monotonic() - clock, 3)
            row["hours"] = round((rows[-1]["hours"] if rows else 0.0) + row["seconds"] / 3600, 5)
            rows.append(row)
            if row["failed"]:
                progress.say(f"generation {generation}: {row['failed']} candidates have no finite "
                             "fitness; they rank last")
            # The rows first: on resume, rows beyond the checkpoint are dropped.
            save_csv(folder / "generations.csv", rows)
            save_checkpoint(folder / "strategy.npz",
                            search.state() | {"step": np.array(generation)})
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


def _evaluate(search: Search, players: Players, seed: int, generation: int, settings: Evolve,
              stage_run: Run) -> None:
    """The search's mean on the validation tracks; the best one so far becomes the agent."""
    folder = stage_run.folder("evolve")
    mean = search.mean.astype(np.float32)
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
    if settings.worlds == ("real", "real"):
        return {"world": world}
    temperature = {"temperature": settings.temperature} if "dream" in settings.worlds else {}
    return {"world": world, "chosen_in": chosen_in, **temperature}


def _search(config: Config, body: Body, start: np.ndarray, wide: Spread | None) -> Search:
    seed = episode_seed(config.seed, "models", 5)
    if config.controller.by in EVOLVED:
        return StrategySearch(config.controller.by, start, config.evolve, seed, wide)
    # Keras takes seconds to import, and workers and CMA-ES do without it.
    import_keras_quietly()
    from worldmodels_repro.evolution.by_gradient import GradientSearch
    from worldmodels_repro.learning.ppo import PPO

    assert isinstance(body.shape, ControllerShape)  # controller.by says so
    return GradientSearch(PPO(body.shape, start, config.ppo, seed), config.ppo, config.evolve)


def _how_many(config: Config) -> str:
    settings = config.evolve
    return (f"{settings.population} candidates x {settings.rollouts} episodes"
            if config.controller.by in EVOLVED else f"{config.ppo.episodes} episodes an update")


def _where(settings: Evolve) -> str:
    world, chosen_in = (in_words(world, settings.temperature) for world in settings.worlds)
    return f"in {world}" if world == chosen_in else f"in {world}, means evaluated in {chosen_in}"


def _best_evaluation(folder: Path) -> Evaluation | None:
    return max(_evaluations(folder), key=lambda row: row["mean"], default=None)


def _evaluations(folder: Path) -> list[Evaluation]:
    return load_json_lines(folder / "evaluations.jsonl", Evaluation)


def _resume(folder: Path, search: Search) -> int:
    """Put the last checkpoint into the search; returns its generation, 0 where there is none.

    An evaluation of a generation beyond it (the run was killed in between) is dropped; it will
    come again.
    """
    def use(state: Arrays, source: str) -> int:
        step = load_step(state, source)
        del state["step"]
        search.restore(state, source)
        return step

    generation = resume_checkpoint(folder / "strategy.npz", use) or 0
    rows = _evaluations(folder)
    kept = [row for row in rows if row["generation"] <= generation]
    if len(kept) < len(rows):
        save_json_lines(folder / "evaluations.jsonl", kept)
    return generation
