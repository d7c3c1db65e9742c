"""``worldmodels probe``: how what was learnt of frames relates to the game's own state.

Each thing in a run that sees frames is asked: what its autoencoder has learnt, what that has become
with C, and V. What is found is written to ``probe/probe.json`` in the run folder.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.verbs import numbers

if TYPE_CHECKING:
    from worldmodels_repro.models.convolutions import FrameEncoder
    from worldmodels_repro.run import Run
    from worldmodels_repro.truth.states import Watched


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how closely."""
    parser.add_argument("--episodes", type=numbers.count, default=40, metavar="N",
                        help="of random play; half to fit, half to ask (default: 40)")


def run(stage_run: Run, episodes: int = 40) -> None:
    """Measure, print and keep.

    Raises:
        UserError: the game has no state, or nothing in the run sees its frames.
    """
    from worldmodels_repro.envs.registry import game_named
    from worldmodels_repro.extras import require
    from worldmodels_repro.policies.registry import policy_named
    from worldmodels_repro.seeds import episode_seed
    from worldmodels_repro.storage import save_json
    from worldmodels_repro.truth.states import relation, watch

    require("figures")  # ridge and CCA are scikit-learn's
    config, game = stage_run.config, game_named(stage_run.config.game)
    if not game.state:
        raise UserError(f"{game.name} has no state to set beside what is seen of its frames")
    if episodes < 4:
        raise UserError(f"--episodes {episodes}: half are to fit, half to ask: 4 or more")
    game.require(config.rollouts.renderer)
    policy = policy_named("held")(game, config.rollouts, None)
    seeds = [episode_seed(config.seed, "validation", k) for k in range(episodes)]
    watched = watch(game, policy, seeds, config.rollouts.max_steps, config.rollouts.renderer)
    if np.isnan(watched.states).any():
        raise UserError(f"{game.name}'s frames do not tell its states (docs/adding.md)")
    found = {name: relation(learnt, watched.states, watched.episodes)
             for name, learnt in _learnt(stage_run, watched).items()}
    if not found:
        raise UserError(f"{stage_run.path} has nothing yet that sees frames: type "
                        + stage_run.command("pretrain"))
    save_json(stage_run.path / "probe" / "probe.json", {
        "game": game.name, "episodes": episodes, "steps": len(watched.states), "found": found})
    print(f"{game.name}, {len(watched.states)} steps of {episodes} episodes")
    print("| what sees frames | R² of each number of the state | canonical correlations |\n"
          "|---|---|---|")
    for name, row in found.items():
        print(f"| {name} | " + " | ".join(" ".join(f"{value:.2f}" for value in row[key])
                                          for key in ("r2", "cca")) + " |")


def _learnt(stage_run: Run, watched: Watched) -> dict[str, np.ndarray]:
    """What each thing that sees frames makes of them, (N, F)."""
    from worldmodels_repro.models.encoding import Encoding
    from worldmodels_repro.models.vae.vision import load_vision
    from worldmodels_repro.worlds.agent import (
        encoder_of,
        load_agent,
        pretrained_encoder,
        sight_of,
    )

    config, path, found = stage_run.config, stage_run.path, {}
    stacks, encoder = watched.stacks(sight_of(config)), encoder_of(config)
    if (path / "pretrain" / "autoencoder" / "encoder.npz").exists():
        found["autoencoder"] = _encoded(encoder, pretrained_encoder(path, config), stacks)
    if config.controller.sees_frames and (path / "learn" / "agent.npz").exists():
        weights = load_agent(path).weights[:encoder.weights]
        found[f"C's own, {config.controller.encoder}"] = _encoded(encoder, weights, stacks)
    if (path / "vae" / "weights.npz").exists():
        found["V"] = Encoding(load_vision(path, config.vae.layers)).posteriors(watched.frames)[0]
    return found


def _encoded(encoder: FrameEncoder, weights: np.ndarray, stacks: np.ndarray) -> np.ndarray:
    return np.concatenate([encoder.act(weights[None], stacks[first:first + 256])
                           for first in range(0, len(stacks), 256)])
