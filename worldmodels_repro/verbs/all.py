"""``worldmodels all``: every stage, each in a process of its own, and then the results."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from worldmodels_repro.pipeline import STAGES


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the stages are told."""
    parser.add_argument("config", nargs="?", metavar="CONFIG",
                        help="settings: a preset or a file (default: quick, or the run's own)")
    parser.add_argument("--run", dest="folder", type=Path, metavar="FOLDER",
                        help="run folder (default: logs/<name of the config>)")
    parser.add_argument("--remote", metavar="S3", help="mirror the run folder there, and go on "
                        "from what is there: s3://bucket/prefix")
    parser.add_argument("--set", dest="overrides", action="append", default=[],
                        metavar="KEY=VALUE", help="override one setting")


def run(config: str | None = None, folder: Path | None = None, remote: str | None = None,
        overrides: list[str] | None = None) -> int:
    """Run all stages; returns the exit code of the one that fails, or 0.

    A stage gets a process of its own: what one sets up (threads, Keras) can't reach the next.
    """
    if config is None and (folder is None or not (folder / "config.yaml").exists()):
        config = "quick"
    words = [] if config is None else ["--config", config]
    words += [] if folder is None else ["--run", str(folder)]
    settings = [word for override in overrides or [] for word in ("--set", override)]
    there = [] if remote is None else ["--remote", remote]
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    # Ctrl-C reaches the stage by itself: it says so and ends, and with it all. SIGTERM does not.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, pass_on)
    for verb in [*(name for name, stage in STAGES.items() if not stage.beside), "results"]:
        command = [verb, *words, *settings, *(there if verb in STAGES else [])]
        with subprocess.Popen([sys.executable, "-m", "worldmodels_repro.cli", *command]) as child:
            children[:] = [child]
            if (code := child.wait()) != 0:
                return code if code > 0 else 128 - code
    return 0
