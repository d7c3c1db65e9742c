"""Starting ViZDoom's engine so that it leaves nothing behind.

The engine is a process of its own, started by ViZDoom's library on an episode's first reset. As
the library starts it, it outlives a player that is killed, keeps its shared memory under
``/dev/shm``, and reads and writes a ``_vizdoom.ini`` and a folder ``_vizdoom`` wherever the user
happens to be: settings left there would change the game. None of that touches how the game
plays, so the judge's game is started the same way.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from worldmodels_repro.errors import UserError

SHARED_MEMORY = Path("/dev/shm")

# What stands between the player and the engine: the engine is to die with the player (by
# prctl's PR_SET_PDEATHSIG, which a program keeps when it becomes another), and Ctrl-C is the
# player's to answer.
_LAUNCH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.setsid()
os.execv(sys.argv[2], sys.argv[2:])
"""


def start_engine(game: Any) -> None:
    """Start the engine of a ``vizdoom.DoomGame`` that has all its settings.

    Raises:
        UserError: temporary files may not be executed here.
    """
    engine = game.get_vizdoom_path() or str(_installed_engine())
    # The engine runs in a folder that is gone once it is up: what it writes has no place.
    with tempfile.TemporaryDirectory(prefix="worldmodels-doom-") as folder:
        if os.statvfs(folder).f_flag & os.ST_NOEXEC:
            raise UserError(f"{tempfile.gettempdir()} is mounted noexec, so Doom can't be started "
                            "from there: name another folder, e.g. type export TMPDIR=$HOME")
        words = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), engine]
        script = Path(folder, "engine")
        script.write_text(f'#!/bin/sh\ncd {shlex.quote(folder)}\nexec {shlex.join(words)} "$@"\n')
        script.chmod(0o700)
        game.set_vizdoom_path(str(script))
        game.set_doom_config_path(os.devnull)
        game.init()
    game.set_vizdoom_path(engine)
    # Both sides have their shared memory open: without its names it goes when they do.
    for path in SHARED_MEMORY.glob(f"ViZDoom*{game.get_instance_id()}"):
        path.unlink(missing_ok=True)


def _installed_engine() -> Path:
    import vizdoom

    return Path(vizdoom.__file__).parent / "vizdoom"
