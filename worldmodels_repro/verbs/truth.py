"""``worldmodels truth``: does V see what matters, and is M's dream true? In minutes.

What it finds is written to ``truth/truth.json`` in the run folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldmodels_repro.errors import UserError
from worldmodels_repro.verbs import numbers

if TYPE_CHECKING:
    from worldmodels_repro.run import Run

LEADS = (0, 2, 4, 7, 10, 20, 25, 30, 50)
PARTS = ("vision", "leads", "scores")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is looked at, and how closely."""
    parser.add_argument("--only", choices=PARTS, help="one of: what V sees, how early deaths are "
                        "dreamt, scores in dream and game (default: all that there is data for)")
    parser.add_argument("--episodes", type=numbers.count, default=100, metavar="N",
                        help="of each policy for scores; half of it for the rest (default: 100)")
    parser.add_argument("--players", nargs="+", type=Path, default=[], metavar="RUN",
                        help="runs whose agents' deaths are to be foreseen too")


def run(stage_run: Run, only: str | None = None, episodes: int = 100,
        players: Sequence[Path] = ()) -> None:
    """Measure, print and keep.

    Raises:
        UserError: there is no V, or what was asked for can't be measured with this run or game.
    """
    from worldmodels_repro.storage import save_json

    measures: dict[str, Callable[[], list[Any]]] = {
        "vision": partial(_vision, stage_run, episodes),
        "leads": partial(_leads, stage_run, episodes, players),
        "scores": partial(_scores, stage_run, episodes)}
    found: dict[str, Any] = {}
    for part in PARTS if only is None else (only,):
        try:
            found[part] = measures[part]()
        except UserError as error:
            if only is not None:
                raise
            print(f"{part}: skipped, {error}")
    if not found:
        raise UserError(f"{stage_run.path} holds nothing to look at yet: type "
                        + stage_run.command("vae"))
    save_json(stage_run.path / "truth" / "truth.json", found)


def _vision(stage_run: Run, episodes: int) -> list[dict[str, float]]:
    from worldmodels_repro.extras import require
    from worldmodels_repro.models.vae.vision import load_vision
    from worldmodels_repro.policies.random import Held
    from worldmodels_repro.seeds import episode_seed, generator
    from worldmodels_repro.truth.vision import audit, watch

    require("figures")  # the probe is scikit-learn's
    config, game = stage_run.config, _game(stage_run)
    if game.landmarks is None:
        raise UserError(f"{game.name} does not tell where things are: its V can't be audited")
    vision = load_vision(stage_run.path, config.vae.layers)
    env, sightings = game.landmarks(), []
    for k in range(max(2, episodes // 4)):
        player = Held(game, generator(config.seed, k, 7), (1, 30))
        sightings += watch(env, player, episode_seed(config.seed, "validation", k))
    env.close()
    rows = audit(vision, sightings, generator(config.seed))
    print(f"V of {stage_run.path}: {len(sightings)} frames\n"
          f"{'distance':>12s}{'things':>8s}{'contrast':>10s}{'probe':>8s}")
    for row in rows:
        print(f"{row['nearest']:5.0f} to {row['farthest']:3.0f}{row['things']:8.0f}"
              f"{row['contrast']:10.2f}{row['probe']:8.2f}")
    return rows


def _leads(stage_run: Run, episodes: int, players: Sequence[Path]) -> list[dict[str, Any]]:
    from worldmodels_repro.models.vae.vision import load_vision
    from worldmodels_repro.policies.agent import SeeingAgent
    from worldmodels_repro.policies.policy import EachEpisode
    from worldmodels_repro.policies.random import UniformlyRandom
    from worldmodels_repro.seeds import episode_seed, generator
    from worldmodels_repro.truth.leads import lead_curve, watched
    from worldmodels_repro.worlds.agent import load_agent
    from worldmodels_repro.worlds.dream import load_dream
    from worldmodels_repro.worlds.episodes import Policy

    config, game = stage_run.config, _game(stage_run)
    if not config.memory.done:
        raise UserError("M learned no endings: set memory.done=true, and train it anew")
    vision, dream = load_vision(stage_run.path, config.vae.layers), load_dream(stage_run.path,
                                                                              config)
    policies: dict[str, Policy] = {"random": EachEpisode(lambda rng: UniformlyRandom(game, rng))}
    if _has_agent(stage_run):
        policies["the agent"] = SeeingAgent(load_agent(stage_run.path))
    policies |= {str(player): SeeingAgent(load_agent(player)) for player in players}
    seeds = [episode_seed(config.seed, "validation", k) for k in range(max(2, episodes // 2))]
    rows = []
    for name, policy in policies.items():
        games = watched(game, vision, policy, seeds)
        curve = lead_curve(dream, games, LEADS, 32, generator(config.seed))
        rows += [{"policy": name, **row} for row in curve]
        print(f"M of {stage_run.path}: {len(games)} games of {name}, dreams at "
              f"{dream.temperature:g}\n"
              f"{'lead':>5s}{'deaths':>8s}{'P(death)':>10s}{'where it lived on':>19s}")
        for row in curve:
            death, survived = ("-" if row[name] is None else f"{row[name]:.3f}"
                               for name in ("death", "survived"))
            print(f"{row['lead']:5.0f}{row['deaths']:8.0f}{death:>10s}{survived:>19s}", flush=True)
    return rows


def _scores(stage_run: Run, episodes: int) -> list[Any]:
    from worldmodels_repro.truth.scores import scores
    from worldmodels_repro.worlds.agent import load_agent
    from worldmodels_repro.worlds.dream import load_dream

    config, game = stage_run.config, _game(stage_run)
    dream = load_dream(stage_run.path, config)
    if not dream.memory.scores:
        raise UserError(f"M of {stage_run.path} learned neither endings nor rewards: it has no "
                        "score to dream")
    agent = load_agent(stage_run.path) if _has_agent(stage_run) else None
    print(f"| mean score of {episodes} | in the dream at {dream.temperature:g} | 95 % interval "
          f"| {game.judge_id} | 95 % interval |\n|---|---|---|---|---|")
    rows = []
    for row in scores(game, dream, agent, episodes, config.seed):
        rows.append(row)
        print("| " + " | ".join([row["policy"], *(
            f"{row[world]['mean']:.0f} | {row[world]['ci95'][0]:.0f} to {row[world]['ci95'][1]:.0f}"
            for world in ("dream", "game"))]) + " |", flush=True)
    return rows


def _has_agent(stage_run: Run) -> bool:
    return (stage_run.folder("evolve") / "agent.npz").exists()


def _game(stage_run: Run) -> Any:
    from worldmodels_repro.envs.registry import game_named

    return game_named(stage_run.config.game)
