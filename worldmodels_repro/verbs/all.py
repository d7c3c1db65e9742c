"""``worldmodels all``: every stage, each in a process of its own, and then the results.

With ``--seeds`` and ``--grid`` it does so for every run of an experiment, and then compares them; a
config of several passes is a run each.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from worldmodels_repro.config import load_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.experiment import every, members, runs_in, seeds_of, share
from worldmodels_repro.pipeline import STAGES, Stage
from worldmodels_repro.pool import ranks
from worldmodels_repro.run import stages_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the stages are told."""
    parser.add_argument("config", nargs="?", metavar="CONFIG",
                        help="settings: a preset or a file (default: quick, or the run's own)")
    parser.add_argument("--run", dest="folder", type=Path, metavar="FOLDER",
                        help="run folder (default: logs/<name of the config>)")
    parser.add_argument("--remote", metavar="S3", help="mirror the run folder there, and go on "
                        "from what is there: s3://bucket/prefix")
    parser.add_argument("--set", dest="overrides", action="extend", nargs="+", default=[],
                        metavar="KEY=VALUE", help="override settings")
    parser.add_argument("--seeds", metavar="N", help="a run for each of N seeds, in FOLDER/seed-1, "
                        "...; or which: 4-6, or 2,4")
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=VALUE,VALUE",
                        help="a run for each value, crossed with those of other --grid")
    parser.add_argument("--until", choices=list(STAGES), metavar="STAGE",
                        help="stop after this stage")
    parser.add_argument("--mpirun", metavar="WORDS", help="have stages that take many cores "
                        "started with mpirun: --mpirun '-n 17 -f hosts'")


def run(config: str | None = None, folder: Path | None = None, remote: str | None = None,
        overrides: list[str] | None = None, seeds: str | None = None,
        grid: list[str] | None = None, until: str | None = None,
        mpirun: str | None = None) -> int:
    """Run all stages; returns the exit code of the one that fails, or 0.

    A stage gets a process of its own: what one sets up (threads, Keras) can't reach the next.

    Raises:
        UserError: settings that can't be.
    """
    if config is None and (folder is None or not (folder / "config.yaml").exists()):
        config = "quick"
    if ranks() > 1:
        raise UserError("mpirun starts the stages, not all of them: leave it out, and type "
                        "worldmodels all ... --mpirun '-n 17'")
    if mpirun and shutil.which("mpirun") is None:
        raise UserError("--mpirun: no mpirun is to be found: type pip install "
                        "'worldmodels-repro[mpi]', and activate its environment")
    own = folder / "config.yaml" if config is None and folder is not None else config
    settings = load_config(own or "quick", overrides)
    commands = Commands(shlex.split(mpirun) if mpirun else [])
    stages = [STAGES[name] for name in stages_of(settings)
              if until is None or STAGES[name].number <= STAGES[until].number]
    if not (seeds or grid or settings.passes):
        words = [] if config is None else ["--config", config]
        words += [] if folder is None else ["--run", str(folder)]
        words += _settings(overrides or [])
        return commands.stages(stages, words, remote) or (
            commands.do(["results", *words]) if until is None else 0)
    if config is None:
        raise UserError(f"{folder} is one run; name a config for an experiment, e.g. worldmodels "
                        f"all quick --run {folder}-seeds --seeds 5")
    folder = Path("logs") / Path(config).stem if folder is None else folder
    return _experiment(commands, stages, folder, config, remote, overrides or [],
                       None if seeds is None else seeds_of(seeds), grid or [])


def _experiment(commands: Commands, stages: list[Stage], folder: Path, config: str,
                remote: str | None, overrides: list[str], seeds: list[int] | None,
                grid: list[str]) -> int:
    found = members(folder, config, overrides, seeds, grid)
    made = list(every(folder))  # by earlier calls
    for number, member in enumerate(found):
        path = member.run.path
        shared = share(member.run, [*made, *(earlier.run for earlier in found[:number])])
        print(f"experiment: {path} ({number + 1} of {len(found)})"
              + (f", with the {', '.join(shared)} of another" if shared else ""), flush=True)
        words = ["--config", config, "--run", str(path), *_settings(member.overrides)]
        place = remote or member.run.config.remote
        there = None if place is None else f"{place.rstrip('/')}/{path.relative_to(folder)}"
        if (code := commands.stages(stages, words, there)) != 0:
            return code
    if all(stage.name != "evaluate" for stage in stages):
        return 0
    if sum(map(len, runs_in(folder).values())) > 1:
        return commands.do(["compare", str(folder)])
    return commands.do(["results", "--run", str(found[-1].run.path)])


def _settings(overrides: list[str] | tuple[str, ...]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


@dataclass
class Commands:
    """Verbs, one after another, in processes that get this one's signals.

    Attributes:
        mpirun: its words, for stages that are rented many cores; none, and they run here.
    """

    mpirun: list[str]
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Ctrl-C reaches the stage by itself: it says so and ends, and all with it. SIGTERM does
        # not.
        signal.signal(signal.SIGINT, lambda number, frame: None)
        signal.signal(signal.SIGTERM, self._pass_on)

    def stages(self, stages: list[Stage], words: list[str], remote: str | None) -> int:
        """These stages of one run; the exit code of the one that fails, or 0."""
        there = [] if remote is None else ["--remote", remote]
        for stage in stages:
            spread = stage.hardware == "cores" and bool(self.mpirun)
            if (code := self.do([stage.name, *words, *there], spread)) != 0:
                return code
        return 0

    def do(self, words: list[str], spread: bool = False) -> int:
        """One verb; its exit code."""
        start = ["mpirun", *self.mpirun, sys.executable, "-m", "mpi4py.futures"] if spread \
            else [sys.executable]
        with subprocess.Popen([*start, "-m", "worldmodels_repro.cli", *words]) as child:
            self._children[:] = [child]
            code = child.wait()
        return code if code >= 0 else 128 - code

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        for child in self._children:
            child.send_signal(number)
