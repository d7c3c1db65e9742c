"""``worldmodels new-game``: a game of a user's own as a file, from what an environment says."""

from __future__ import annotations

import argparse
from pathlib import Path

from worldmodels_repro.errors import UserError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is looked at, and where the row goes."""
    parser.add_argument("file", type=Path, metavar="FILE", help="to write, e.g. my_game.py")
    parser.add_argument("--env", required=True, metavar="ENV", help="the environment: an id of "
                        "gymnasium's (CartPole-v1, ALE/Enduro-v5, module:id), or a class, "
                        "module:Class or path/to/file.py:Class")


def run(file: Path, env: str) -> int:
    """Write the row and say what was found.

    Raises:
        UserError: the file is there already, or there is no such environment.
    """
    from worldmodels_repro.envs.own import row
    from worldmodels_repro.storage import write_atomically

    if file.suffix != ".py":
        raise UserError(f"{file} must end in .py: name the Python file to write")
    if file.exists():
        raise UserError(f"{file} is there already: name another file, or remove it")
    written = row(env, file)
    write_atomically(file, lambda stream: stream.write(written.text.encode()))
    print("\n".join(written.found))
    print(f"wrote    {file}: read it, then type worldmodels check-game {file}")
    return 0
