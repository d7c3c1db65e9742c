"""``worldmodels info``: the resolved settings and parameter counts, as JSON."""

from __future__ import annotations

import json

from worldmodels_repro.envs.registry import GAMES
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.models.mdn_rnn.recurrence import mdn_rnn_parameters
from worldmodels_repro.models.runtime import vae_parameters
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.run import Run, versions


def run(stage_run: Run) -> None:
    """Print what this config is, what it would train, and how far the run folder has come."""
    config = stage_run.config
    actions = GAMES[config.game].actions
    sizes = {"z": config.vae.z, "h": config.memory.units, "c": config.memory.units}
    shape = ControllerShape(sum(sizes[name] for name in config.controller.inputs), actions,
                            config.controller.hidden, config.controller.bias)
    print(json.dumps({
        "run": str(stage_run.path),
        "done": [stage for stage in STAGES if stage_run.is_done(stage)],
        "parameters": {
            "V": vae_parameters(config.vae.z),
            "M": mdn_rnn_parameters(config.memory, config.vae.z, actions),
            "C": shape.weights,
        },
        "versions": versions(),
        "config": config.plain(),
    }, indent=2))
