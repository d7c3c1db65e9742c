"""The command line: one verb a stage, and ``aws``.

A user's mistake gets one line that says what to type and exit code 2; a bug gets its traceback.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from worldmodels_repro.cloud import command as aws
from worldmodels_repro.errors import UserError

if TYPE_CHECKING:
    from worldmodels_repro.remote.mirror import Mirror

VERBS = {
    "rollouts": ("worldmodels_repro.stages.rollouts", "collect episodes of the game"),
    "vae": ("worldmodels_repro.stages.vae", "train V on their frames"),
    "latents": ("worldmodels_repro.stages.latents", "encode the episodes with V"),
    "memory": ("worldmodels_repro.stages.memory", "train M on the latents"),
    "evolve": ("worldmodels_repro.stages.evolve", "evolve C with CMA-ES"),
    "evaluate": ("worldmodels_repro.stages.evaluate", "judge the agent on the unmodified game"),
    "figures": ("worldmodels_repro.stages.figures", "draw the figures and GIFs"),
    "play": ("worldmodels_repro.verbs.play", "watch the agent, or play, in the game or the dream"),
    "results": ("worldmodels_repro.verbs.results", "print the results table"),
    "info": ("worldmodels_repro.verbs.info", "print the resolved config and parameter counts"),
}
_DISK = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up",
         errno.EROFS: "the disk is read-only", errno.EACCES: "permission is denied",
         errno.EPERM: "permission is denied", errno.ENOTDIR: "a file is where a folder should be"}


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; type {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    # TensorFlow's start-up notes are not for our users; its warnings are.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    try:
        # Here, not above: workers import this module too, and need nothing of what a run reads.
        from worldmodels_repro.run import open_run

        options = _parser().parse_args(arguments)
        if options.verb == "aws":
            aws.run(options)
            return 0
        if options.verb == "doctor":
            from worldmodels_repro.verbs import doctor

            return doctor.run(options.run or Path("logs"), options.remote)
        run = open_run(options.config, options.run, options.set, options.verb, options.remote)
        if run.mirror is None:
            _call(run, options)
        else:
            with _mirroring(run.mirror):
                _call(run, options)
    except UserError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # `timeout` tells twice; once is enough
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # who insists need not wait for the workers
        _refuse("interrupted; type the same command again to go on")
        return 128 + signal.SIGINT
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in _EXTRAS:
            return _refuse(f"{error.name} is not installed: type "
                           f"pip install {_EXTRAS[error.name.split('.')[0]]}")
        raise
    except OSError as error:
        if error.errno not in _DISK:
            raise
        return _refuse(f"{error.filename or 'the run folder'}: {_DISK[error.errno]}: make room, "
                       "or name another --run, and type the same command again; nothing is lost")
    return 0


def _call(run: Any, options: argparse.Namespace) -> None:
    """Run the verb, with the options that only it has."""
    module, own = VERBS[options.verb][0], {}
    if options.verb == "play":
        own = {name: getattr(options, name)
               for name in ("world", "temperature", "human", "gif", "seed")}
    elif options.verb == "evaluate" and options.temperatures is not None:
        module = "worldmodels_repro.verbs.temperatures"
        own = {"temperatures": options.temperatures, "generations": options.generations}
    elif options.verb == "evaluate" and options.generations is not None:
        raise UserError("--generations is of the agents that --temperatures evolves: name some, "
                        "e.g. --temperatures 0.5,1.0,1.15")
    elif options.verb == "evaluate" and options.again:
        module = "worldmodels_repro.verbs.again"
    with _for_readers_who_leave() if options.verb in ("results", "info") else nullcontext():
        importlib.import_module(module).run(run, **own)


_EXTRAS = {"vizdoom": "-e '.[doom]'", "mpi4py": "mpi4py mpich"}


def _parser() -> argparse.ArgumentParser:
    from worldmodels_repro.run import STAGES

    parser = _OneLineParser(prog="worldmodels", description="World Models, stage by stage.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    purpose = "say what this machine has, and what is wrong with it"
    doctor = verbs.add_parser("doctor", help=purpose, description=purpose)
    doctor.add_argument("--run", type=Path, metavar="FOLDER", help="where runs would lie")
    doctor.add_argument("--remote", metavar="S3", help="try this too: s3://bucket/prefix")
    for verb, (_, purpose) in VERBS.items():
        command = verbs.add_parser(verb, help=purpose, description=purpose)
        command.add_argument("--config", type=Path, metavar="YAML",
                             help="settings, e.g. configs/quick.yaml (default: the run's own)")
        command.add_argument("--run", type=Path, metavar="FOLDER",
                             help="run folder (default: logs/<name of the config>)")
        if verb in STAGES:
            command.add_argument("--remote", metavar="S3", help="mirror the run folder there, "
                                 "and go on from what is there: s3://bucket/prefix")
        command.set_defaults(remote=None)
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                             help="override one setting, e.g. --set evolve.sigma=0.2")
        if verb == "evaluate":
            _add_judging(command)
        elif verb == "play":
            _add_play(command)
    purpose = "rent machines on AWS, see what they cost, leave nothing behind"
    aws.add_verbs(verbs.add_parser("aws", help=purpose, description=purpose))
    return parser


def _add_judging(command: argparse.ArgumentParser) -> None:
    what = command.add_mutually_exclusive_group()
    what.add_argument("--again", action="store_true", help="play the judged episodes again, "
                      "and say whether the score holds")
    what.add_argument("--temperatures", type=temperatures, metavar="T,T",
                      help="also evolve and judge an agent in a dream of each, "
                      "e.g. 0.1,0.5,1.0,1.15,1.3")
    command.add_argument("--generations", type=count, metavar="N",
                         help="how long each of those evolves (default: evolve.generations)")


def _add_play(command: argparse.ArgumentParser) -> None:
    command.add_argument("--world", choices=("real", "dream"), default="real",
                         help="the game, or M's dream of it (default: real)")
    command.add_argument("--temperature", type=temperature, metavar="T",
                         help="of the dream (default: evolve.temperature)")
    player = command.add_mutually_exclusive_group()
    player.add_argument("--agent", dest="human", action="store_false",
                        default=False, help="watch the agent (the default)")
    player.add_argument("--human", action="store_true", help="play with the arrow keys")
    command.add_argument("--gif", type=Path, metavar="FILE",
                         help="write the episode here (default without a display: in the run)")
    command.add_argument("--seed", type=seed, metavar="N",
                         help="of the episode (default: the first held-out one's)")


def temperature(text: str) -> float:
    """A temperature that dreams can have."""
    value = float(text)
    if not 0.01 <= value <= 10:
        raise argparse.ArgumentTypeError(f"{text} is not a temperature: 0.01 to 10 is allowed")
    return value


def temperatures(text: str) -> list[float]:
    """Temperatures, with commas between them."""
    return list(dict.fromkeys(temperature(part) for part in text.split(",")))


def count(text: str) -> int:
    """1 or more."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed: 1 or more")
    return value


def seed(text: str) -> int:
    """A seed as games take them."""
    if not 0 <= (value := int(text)) < 2**31:
        raise argparse.ArgumentTypeError(f"{text} is not a seed: 0 to 2147483647 is allowed")
    return value


@contextmanager
def _mirroring(mirror: Mirror) -> Iterator[None]:
    """A stage that is done waits until all of it is in S3; one that must end, for a moment."""
    from worldmodels_repro.remote.mirror import NOTICE, PATIENCE

    patience = NOTICE
    try:
        yield
        patience = PATIENCE
    finally:
        if patience == NOTICE:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)  # one notice is enough
        mirror.close(patience)


@contextmanager
def _for_readers_who_leave() -> Iterator[None]:
    """`worldmodels results | head` ends as it does with other programs: without a word."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output once more at its end: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _refuse(message: str) -> int:
    print(f"worldmodels: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
