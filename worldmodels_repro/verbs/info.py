"""``worldmodels info``: the resolved settings and parameter counts, as JSON."""

from __future__ import annotations

import json

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.models.mdn_rnn.head import Head
from worldmodels_repro.models.vae.layers import layers_named
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.run import Run, versions
from worldmodels_repro.worlds.agent import encoder_of, network_of


def run(stage_run: Run) -> None:
    """Print what this config is, what it would train, and how far the run folder has come."""
    config = stage_run.config
    z, memory, actions = config.vae.z, config.memory, game_named(config.game).actions
    head = Head(z=z, mixtures=memory.mixtures, done=memory.done, reward=memory.reward)
    game = game_named(config.game)
    sizes = {"z": z, "h": memory.units, "c": memory.units, "o": game.state,
             "f": encoder_of(config).outputs}
    features = sum(sizes[name] for name in config.controller.inputs)
    shape = network_of(config, features) or ControllerShape(
        features, actions, config.controller.hidden, config.controller.bias)
    print(json.dumps({
        "run": str(stage_run.path),
        "done": [stage for stage in STAGES if stage_run.is_done(stage)],
        "parameters": {
            "V": layers_named(config.vae.layers).parameters(z),
            "M": head.parameters(z + actions + memory.restart_input, memory.units),
            "C": shape.weights,
        },
        "versions": versions(),
        "config": config.plain(),
    }, indent=2))
