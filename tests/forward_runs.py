"""What tests of networks that predict frames share: small runs, episodes made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from worldmodels_repro.cli import main
from worldmodels_repro.storage import Arrays

SMALL = [word for setting in (
    "rollouts.policies={scripted: 6}", "rollouts.max_steps=20", "evolve.workers=1",
    "forward.steps=4", "forward.validate_every=2", "forward.batch=3", "forward.sequence=7",
    "forward.compared=3", "forward.units=8", "forward.embedding=4", "forward.filters=2",
    "forward.validation=0.3", "trackers=[]") for word in ("--set", setting)]


def moving(places: int = 20, episodes: int = 8, actions: int = 2) -> list[Arrays]:
    """A white bar of two columns that goes a pixel a step to the right."""
    made = []
    for number in range(episodes):
        frames = np.zeros((places, 32, 32, 3), np.uint8)
        for t in range(places):
            frames[t, 4 + number:12 + number, t:t + 2] = 255
        made.append({"frames": frames, "actions": np.zeros((places, actions), np.float32),
                     "rewards": np.arange(places, dtype=np.float32),
                     "terminated": np.arange(places) == places - 1,
                     "serve": np.full(2, number, np.float32)})
    return made


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rollouts of both games, which every config's run borrows, and one run that is trained."""
    folder = tmp_path_factory.mktemp("forward")
    for game in ("pong", "cube_crash"):
        assert main(["rollouts", "--config", f"forward/{game}", "--run", str(folder / game),
                     *SMALL]) == 0
    trained(folder, "pong_rnn_dense")
    return folder


def trained(runs: Path, config: str, name: str | None = None, *more: str) -> Path:
    """A run of a network of few steps on the rollouts there, and where it is."""
    run = runs / (name or config)
    run.mkdir(exist_ok=True)
    if not (run / "rollouts").exists():
        game = "pong" if config.startswith("pong") else "cube_crash"
        (run / "rollouts").symlink_to(f"../{game}/rollouts", target_is_directory=True)
    assert main(["forward", "--config", f"forward/{config}", "--run", str(run), *SMALL,
                 *more]) == 0
    return run
