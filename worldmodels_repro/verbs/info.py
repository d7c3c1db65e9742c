"""``worldmodels info``: the resolved settings and parameter counts, as JSON."""

from __future__ import annotations

import json

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.run import STAGES, Run, versions
from worldmodels_repro.training.quiet import import_keras_quietly


def run(stage_run: Run) -> None:
    """Print what this config is, what it would train, and how far the run folder has come."""
    import_keras_quietly()
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import compiled_mdn_rnn
    from worldmodels_repro.models.vae.vae import compiled_vae

    config = stage_run.config
    actions = game_named(config.game).actions
    sizes = {"z": config.vae.z, "h": config.memory.units, "c": config.memory.units}
    shape = ControllerShape(sum(sizes[name] for name in config.controller.inputs), actions,
                            config.controller.hidden, config.controller.bias)
    print(json.dumps({
        "run": str(stage_run.path),
        "done": [stage for stage in STAGES if stage_run.is_done(stage)],
        "parameters": {
            "V": compiled_vae(config.vae, 0).count_params(),
            "M": compiled_mdn_rnn(config.memory, config.vae.z, actions, 0).count_params(),
            "C": shape.weights,
        },
        "versions": versions(),
        "config": config.plain(),
    }, indent=2))
