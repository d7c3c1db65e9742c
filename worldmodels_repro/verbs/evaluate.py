"""``worldmodels evaluate``: the stage, and three ways to judge more."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from worldmodels_repro.errors import UserError
from worldmodels_repro.verbs import numbers

if TYPE_CHECKING:
    from worldmodels_repro.run import Run


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may be judged beside the agent."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--again", action="store_true", help="play the judged episodes again, "
                      "and say whether the score holds")
    what.add_argument("--temperatures", type=numbers.temperatures, metavar="T,T",
                      help="also evolve and judge an agent in a dream of each, "
                      "e.g. 0.1,0.5,1.0,1.15,1.3")
    what.add_argument("--worlds", action="store_true", help="also judge the agent in worlds that "
                      "it does not know: other colours, bars, noise, ...")
    parser.add_argument("--generations", type=numbers.count, metavar="N",
                        help="how long each of those evolves (default: evolve.generations)")


def run(stage_run: Run, again: bool = False, temperatures: list[float] | None = None,
        generations: int | None = None, worlds: bool = False) -> None:
    """Judge the agent; or once more, or those of dreams of other temperatures.

    Raises:
        UserError: the options do not go together, or what they ask for is not there.
    """
    if temperatures is not None:
        from worldmodels_repro.verbs import temperatures as dreams

        dreams.run(stage_run, temperatures, generations)
    elif generations is not None:
        raise UserError("--generations is of the agents that --temperatures evolves: name some, "
                        "e.g. --temperatures 0.5,1.0,1.15")
    elif worlds:
        from worldmodels_repro.verbs import changed

        changed.run(stage_run)
    elif again:
        from worldmodels_repro.verbs import again as once_more

        once_more.run(stage_run)
    else:
        from worldmodels_repro.stages import evaluate

        evaluate.run(stage_run)
