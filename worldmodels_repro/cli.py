"""The command line: finds the verb, has it declare its words, and opens the run that they name.

A user's mistake gets one line that says what to type and exit code 2; a bug gets its traceback.
Workers import this module too: what only a verb needs is imported when that verb is asked for.
"""

from __future__ import annotations

import argparse
import errno
import faulthandler
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from worldmodels_repro import __version__
from worldmodels_repro.errors import UserError, did_you_mean
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.verbs import VERBS

if TYPE_CHECKING:
    from worldmodels_repro.remote.mirror import Mirror

_DISK = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up",
         errno.EROFS: "the disk is read-only", errno.EACCES: "permission is denied",
         errno.EPERM: "permission is denied", errno.ENOTDIR: "a file is where a folder should be"}
_FAREWELL = 60.0  # seconds that a program whose work is done may take to end


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; type {self.prog} --help")


def program() -> int:
    """What `worldmodels` starts: :func:`main`, and then an end that does not wait for ever.

    By then all is written. A library's thread that does not end would keep the process: it then
    shows where each thread is, and goes.
    """
    try:
        return main()
    finally:  # a bug's traceback is an end, too
        faulthandler.dump_traceback_later(_FAREWELL, exit=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    # TensorFlow's start-up notes are not for our users; its warnings are.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    try:
        return _carry_out(sys.argv[1:] if arguments is None else list(arguments))
    except UserError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # `timeout` tells twice; once is enough
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # who insists need not wait for the workers
        _refuse("interrupted; type the same command again to go on")
        return 128 + signal.SIGINT
    except ModuleNotFoundError as error:
        from worldmodels_repro.extras import missing

        if (refusal := missing(error.name or "")) is None:
            raise
        return _refuse(str(refusal))
    except OSError as error:
        if error.errno not in _DISK:
            raise
        return _refuse(f"{error.filename or 'the run folder'}: {_DISK[error.errno]}: make room, "
                       "or name another --run, and type the same command again; nothing is lost")


def _carry_out(words: list[str]) -> int:
    options = vars(_parser(words).parse_args(words))
    name = options.pop("verb")
    verb = VERBS[name]
    with ExitStack() as around:
        if verb.prints:
            around.enter_context(_for_readers_who_leave())
        if not verb.opens:
            return int(importlib.import_module(verb.module).run(**options) or 0)
        from worldmodels_repro.extras import require
        from worldmodels_repro.journal import journal
        from worldmodels_repro.plugins import blaming
        from worldmodels_repro.run import open_run

        run = open_run(options.pop("config"), options.pop("run"), options.pop("set"), name,
                       options.pop("remote"))
        if run.mirror is not None:
            around.enter_context(_mirroring(run.mirror))
        if name in STAGES:
            around.enter_context(journal(run.path, words))
            extra = STAGES[name].extra
            if extra is not None and not run.is_done(name):
                require(extra)
        around.enter_context(blaming())
        importlib.import_module(verb.module).run(run, **options)
    return 0


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """Knows every verb, and the options of the one that is asked for."""
    parser = _OneLineParser(prog="worldmodels", description="World Models, stage by stage.")
    parser.add_argument("--version", action="version", version=f"worldmodels {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    asked = next((word for word in words if not word.startswith("-")), None)
    if asked is not None and asked not in VERBS:
        raise UserError(f"there is no verb {asked}{did_you_mean(asked, VERBS) or ';'} "
                        "type worldmodels --help")
    for name, verb in VERBS.items():
        command = verbs.add_parser(name, help=verb.help, description=verb.help)
        if name != asked:
            continue
        if verb.opens:
            _add_common(command, name)
        if verb.declares:
            importlib.import_module(verb.module).arguments(command)
    return parser


def _add_common(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("--config", metavar="NAME", help="settings: a preset, e.g. quick, or a "
                         "YAML file (default: the run's own)")
    command.add_argument("--run", type=Path, metavar="FOLDER",
                         help="run folder (default: logs/<name of the config>)")
    if name in STAGES:
        command.add_argument("--remote", metavar="S3", help="mirror the run folder there, "
                             "and go on from what is there: s3://bucket/prefix")
    command.set_defaults(remote=None)
    command.add_argument("--set", action="extend", nargs="+", default=[], metavar="KEY=VALUE",
                         help="override settings, e.g. --set evolve.sigma=0.2 seed=3")


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
    sys.exit(program())
