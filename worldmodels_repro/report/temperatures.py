"""What agents that were evolved in dreams of several temperatures came to."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.records import Temperature, Temperatures
from worldmodels_repro.report.judgement import scored
from worldmodels_repro.run import Run
from worldmodels_repro.storage import load_json
from worldmodels_repro.tables import TemperatureScores


def table(run: Run) -> TemperatureScores:
    """Scores in dream and game, by temperature, and a random policy's.

    Raises:
        UserError: there are no such agents.
    """
    path = _file(run)
    if not path.exists():
        raise UserError(f"{path} is missing: agents of several temperatures come of "
                        f"{run.command('evaluate')} --temperatures 0.5,1,1.15")
    judged = load_json(path, Temperatures)
    return {"environment": judged["environment"], "solved": game_named(run.config.game).solved,
            "rows": [{"temperature": row["temperature"], "dream": scored(row["dream"]),
                      "real": scored(row["real"])} for row in temperatures(run)],
            "random": scored(judged["random"]) if judged["random"] else None}


def temperatures(run: Run) -> list[Temperature]:
    """What was measured, by temperature; nothing where no such agents were evolved."""
    path = _file(run)
    rows = load_json(path, Temperatures)["temperatures"] if path.exists() else []
    return sorted(rows, key=itemgetter("temperature"))


def _file(run: Run) -> Path:
    return run.folder("evaluate") / "temperatures.json"
