"""``worldmodels info``: the resolved settings and parameter counts, as JSON."""

from __future__ import annotations

import json

from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.report.architecture import parameters
from worldmodels_repro.run import Run, versions


def run(stage_run: Run) -> None:
    """Print what this config is, what it would train, and how far the run folder has come."""
    config = stage_run.config
    print(json.dumps({
        "run": str(stage_run.path),
        "done": [stage for stage in STAGES if stage_run.is_done(stage)],
        "parameters": parameters(config),
        "versions": versions(),
        "config": config.plain(),
    }, indent=2))
