"""The command line's verbs: the stages', and those to look, to check, to play.

A verb's module has ``run``, which takes its options by name, after the run folder where it works on
one; one of its own also has ``arguments(parser)``, which declares them. Modules here import what
they do their work with in ``run``: declaring words needs nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from worldmodels_repro.pipeline import STAGES


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        module: where its ``run`` is.
        help: what it does, in a line.
        opens: whether it works on a run folder, named by ``--config``, ``--run`` and ``--set``.
        declares: whether its module has ``arguments``.
        prints: whether printing is all that it does, so that its reader may leave early.
    """

    module: str
    help: str
    opens: bool = True
    declares: bool = True
    prints: bool = False


VERBS: dict[str, Verb] = {
    **{stage.name: Verb(stage.module, stage.help, declares=False) for stage in STAGES.values()},
    "evaluate": Verb("worldmodels_repro.verbs.evaluate", STAGES["evaluate"].help),
    "figures": Verb("worldmodels_repro.verbs.figures", STAGES["figures"].help),
    "all": Verb("worldmodels_repro.verbs.all", "run every stage, then print the results",
                opens=False),
    "play": Verb("worldmodels_repro.verbs.play",
                 "watch the agent, or play, in the game or the dream"),
    "truth": Verb("worldmodels_repro.verbs.truth",
                  "measure what V sees and whether M's dream is true"),
    "probe": Verb("worldmodels_repro.verbs.probe",
                  "set what was learnt of frames beside the game's own state"),
    "bench": Verb("worldmodels_repro.verbs.bench",
                  "compare models of a game's frames, so many steps ahead", opens=False),
    "map": Verb("worldmodels_repro.verbs.map",
                "set how agents draw a detector's map beside each other", opens=False,
                prints=True),
    "results": Verb("worldmodels_repro.verbs.results", "print the results table", prints=True),
    "compare": Verb("worldmodels_repro.verbs.compare",
                    "set runs beside each other, with intervals over seeds", opens=False,
                    prints=True),
    "report": Verb("worldmodels_repro.verbs.report",
                   "make one page of a run that dreams and opens offline", opens=False),
    "export": Verb("worldmodels_repro.verbs.export",
                   "write a run for other programs (ONNX, a web page), or to hand on"),
    "info": Verb("worldmodels_repro.verbs.info",
                 "print the resolved config and parameter counts", declares=False, prints=True),
    "settings": Verb("worldmodels_repro.verbs.settings",
                     "explain the settings: types, defaults, meaning", opens=False, prints=True),
    "new-game": Verb("worldmodels_repro.verbs.new_game",
                     "write a game of your own as a file, from an environment", opens=False),
    "check-game": Verb("worldmodels_repro.verbs.check_game",
                       "play a game of your own, and say what is wrong with it", opens=False),
    "doctor": Verb("worldmodels_repro.verbs.doctor",
                   "say what this machine has, and what is wrong with it", opens=False),
    "aws": Verb("worldmodels_repro.cloud.command",
                "rent machines on AWS, see what they cost, leave nothing behind", opens=False),
}
