"""``worldmodels bench``: models of one game's frames, from any runs, on the same held-out episodes.

Networks that predict frames and V with M are models of frames alike; what a run has, is judged.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from worldmodels_repro.errors import UserError
from worldmodels_repro.verbs import numbers

if TYPE_CHECKING:
    from worldmodels_repro.config import Config
    from worldmodels_repro.models.contracts import FrameModel


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which runs, on how many episodes, and where to keep what is found."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders of one game")
    parser.add_argument("--episodes", type=numbers.count, default=100, metavar="N",
                        help="held-out ones (default: 100)")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="JSON file (default: bench.json in the first run's forward folder)")


def run(runs: list[Path], episodes: int = 100, out: Path | None = None) -> None:
    """Measure, print and keep.

    Args:
        runs: whose networks, and V with M, are judged.
        episodes: held-out episodes: of the game's own player where it has one, as random as the
            first run's data are, else of actions held for a while.
        out: where the table goes.

    Raises:
        UserError: a run has nothing to judge, or is of another game.
    """
    from worldmodels_repro.envs.registry import game_named
    from worldmodels_repro.policies.registry import by_rule_or_held
    from worldmodels_repro.records import Bench
    from worldmodels_repro.report import horizons as report
    from worldmodels_repro.run import load_run
    from worldmodels_repro.seeds import episode_seed
    from worldmodels_repro.storage import save_json
    from worldmodels_repro.truth.horizons import HORIZONS, SEEN, bench, held_out

    configs = {path: load_run(path).config for path in runs}
    first = configs[runs[0]]
    other = next((path for path in runs if configs[path].game != first.game), None)
    if other is not None:
        raise UserError(f"{other} is of {configs[other].game} and {runs[0]} of {first.game}: "
                        "name runs of one game")
    game = game_named(first.game)
    models: dict[str, FrameModel] = {}
    game.require("fast")
    for path, config in configs.items():
        models |= _models(path, config)
    policy, _ = by_rule_or_held(game, first.rollouts)
    seeds = [episode_seed(first.evaluate.seed, "validation", k) for k in range(episodes)]
    played = held_out(game, policy, seeds, max(HORIZONS))
    if int(played.lengths.max()) <= SEEN:
        raise UserError(f"no episode of {game.name} is longer than the {SEEN} frames that models "
                        "are shown: there is nothing to predict")
    table: Bench = {"game": game.name, "rows": bench(game, models, played)}
    save_json(out or runs[0] / "forward" / "bench.json", table)
    print(report.text(table))


def _models(path: Path, config: Config) -> dict[str, FrameModel]:
    """What a run has that predicts frames."""
    from worldmodels_repro.envs.registry import game_named
    from worldmodels_repro.models.forward.predictor import load_frame_network
    from worldmodels_repro.models.mdn_rnn.forward import load_mdn_rnn
    from worldmodels_repro.models.pictured import Pictured
    from worldmodels_repro.models.vae.vision import load_vision

    found: dict[str, FrameModel] = {}
    if (path / "forward" / "programs.npz").exists():
        found[path.name] = load_frame_network(path, config.forward, config.game)
    if (path / "memory" / "weights.npz").exists() and (path / "vae" / "weights.npz").exists():
        vision = load_vision(path, config.vae.layers)
        memory = load_mdn_rnn(path, config.memory, vision.size,
                              game_named(config.game).actions)
        found[f"{path.name} (V and M)"] = Pictured(
            vision=vision, memory=memory, game=config.game,
            taken_actions=config.memory.taken_actions)
    if not found:
        raise UserError(f"{path} has nothing that predicts frames: type worldmodels forward "
                        f"--run {path}")
    return found
