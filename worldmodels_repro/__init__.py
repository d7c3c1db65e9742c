"""World Models (Ha & Schmidhuber, 2018), reproduced: V sees, M remembers, C acts.

::

    import worldmodels_repro
    run = worldmodels_repro.load("logs/carracing")
    print(run.play(episodes=3).returns)
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from worldmodels_repro.api import LoadedRun

__version__ = "0.1.0"


def load(folder: str | Path) -> LoadedRun:
    """A run folder, ready to play.

    Raises:
        UserError: it holds no run.
    """
    from worldmodels_repro.api import LoadedRun  # not for those who only want a verb

    return LoadedRun(folder)


if "gymnasium" in sys.modules:  # gymnasium.make("worldmodels_repro:worldmodels/Seen-v0", ...)
    import worldmodels_repro.envs  # noqa: F401 - registers the environments
