"""``worldmodels aws VERB``: the words, and what each verb prints."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from worldmodels_repro.errors import UserError
from worldmodels_repro.pipeline import STAGES

PROJECT = re.compile(r"[a-z][a-z0-9-]{1,40}")
RENTED = [stage.name for stage in STAGES.values() if stage.hardware]
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}(/seed-[0-9]+)?")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below ``aws``."""
    verbs = parser.add_subparsers(dest="aws", required=True, metavar="VERB")

    def verb(name: str, purpose: str) -> argparse.ArgumentParser:
        command = verbs.add_parser(name, help=purpose, description=purpose)
        command.add_argument("--region", help="AWS region (default: your AWS settings')")
        command.add_argument("--project", default="worldmodels", metavar="NAME",
                             help="name of the stack and value of the tag 'project'")
        command.add_argument("--dry-run", action="store_true",
                             help="print what would be made, asked or removed, and do nothing")
        return command

    up = verb("up", "make the bucket, the role, the security group and the launch templates")
    up.add_argument("--ssh-cidr", metavar="ADDRESS/32", help="who may connect by SSH")
    up.add_argument("--key", metavar="NAME", help="EC2 key pair for SSH")
    launch = verb("launch", "rent a machine for one stage of a run")
    launch.add_argument("--stage", required=True, help=", ".join(RENTED))
    launch.add_argument("--run", metavar="NAME", help="name of the run (default: the config's)")
    launch.add_argument("--seeds", metavar="N", help="a machine for each of N seeds, whose runs "
                        "are NAME/seed-1, ...; or which: 4-6, or 2,4")
    launch.add_argument("--spot", action="store_true", help="at the spot price")
    launch.add_argument("--instance-type", metavar="TYPE", help="e.g. c7a.48xlarge")
    launch.add_argument("--max-hours", type=float, metavar="HOURS",
                        help="end the machine after so long (default: twice the estimate)")
    launch.add_argument("--extras", default=None, metavar="NAMES",
                        help="extras to install, e.g. doom (default: gpu on a GPU machine)")
    _rate(launch, "measured steps/s of a stage that learns, for the estimate")
    _config(launch)
    verb("status", "list what is there")
    logs = verb("logs", "print what a machine said last")
    logs.add_argument("--run", metavar="NAME")
    logs.add_argument("--stage")
    logs.add_argument("--lines", type=int, default=50)
    costs = verb("costs", "print what was charged, what a run cost, or what one will cost")
    costs.add_argument("--months", type=int, default=3, help="of Cost Explorer's table")
    costs.add_argument("--run", type=Path, metavar="FOLDER", help="price a run folder; no account")
    costs.add_argument("--estimate", action="store_true", help="price a config; no account")
    costs.add_argument("--serial", type=float, metavar="SECONDS",
                       help="--estimate: measured seconds a generation in which workers wait")
    _rate(costs, "--estimate: measured steps/s of the stage learn")
    costs.add_argument("--instance-type", metavar="TYPE")
    costs.add_argument("--spot", action="store_true")
    _config(costs)
    down = verb("down", "remove everything that carries the project's tag")
    down.add_argument("--bucket", action="store_true", help="and the bucket with all runs")
    down.add_argument("--yes", action="store_true", help="yes, the bucket too")


def _rate(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--rate", type=float, metavar="N", help=what)


def _config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", metavar="NAME")
    command.add_argument("--set", action="extend", nargs="+", default=[], metavar="KEY=VALUE")


def run(**words: Any) -> None:
    """Do what the words say.

    Raises:
        UserError: for every mistake, and for everything that AWS refuses.
    """
    options = argparse.Namespace(**words)
    if not PROJECT.fullmatch(options.project):
        raise UserError(f"--project {options.project}: small letters, digits and dashes, "
                        "e.g. worldmodels")
    name = getattr(options, "run", None)
    if isinstance(name, str) and not RUN.fullmatch(name):
        raise UserError(f"--run {name}: name a run, e.g. quick, not a path")
    rate = getattr(options, "rate", None)
    if rate is not None and not 0 < rate < math.inf:
        raise UserError(f"--rate {rate:g}: name steps a second, above 0")
    for option in ("lines", "months"):
        if getattr(options, option, 1) < 1:
            raise UserError(f"--{option}: name 1 or more")
    if options.aws == "costs" and (options.run or options.estimate):
        from worldmodels_repro.cloud import forecast  # asks nobody: boto3 may be missing

        _print(forecast.costs(options))
        return
    from worldmodels_repro.cloud import verbs
    from worldmodels_repro.cloud.account import plain_errors

    with plain_errors():
        _print(getattr(verbs, options.aws)(options))


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(line, flush=True)
