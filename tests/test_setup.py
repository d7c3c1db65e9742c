"""scripts/setup.sh: what it installs at the first call, and that later ones find it installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Stands for .venv's Python: writes down the extras that pip is asked for.
PYTHON = """#!/bin/sh
for last; do :; done
echo "$last" >>installed_extras
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ["scripts/setup.sh", "pyproject.toml", "setup.py", "constraints.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


def _installs(clone: Path, *config: str, extras: str = "") -> list[str]:
    """The extras that one call of setup.sh asks pip for; none if it calls no pip."""
    log = clone / "installed_extras"
    log.unlink(missing_ok=True)
    subprocess.run(["bash", "scripts/setup.sh", *config], cwd=clone, check=True,
                   env={"PATH": "/usr/bin:/bin", "WORLDMODELS_EXTRAS": extras})
    return log.read_text().split() if log.exists() else []


def test_setup_installs_once(clone: Path) -> None:
    assert _installs(clone) == [".[all]"]
    assert _installs(clone) == []


def test_setup_adds_extras_to_those_there(clone: Path) -> None:
    assert _installs(clone, extras="dev") == [".[all,dev]"]
    assert _installs(clone) == []
    (clone / "doom.yaml").write_text("game: take_cover\n")
    assert _installs(clone, "doom.yaml") == [".[all,dev,doom]"]
    assert _installs(clone, "doom.yaml", extras="doom") == []
    assert _installs(clone) == []


def test_setup_installs_again_when_the_constraints_change(clone: Path) -> None:
    _installs(clone, extras="dev")
    with (clone / "constraints.txt").open("a") as constraints:
        constraints.write("# newer\n")
    assert _installs(clone) == [".[all,dev]"]


def test_setup_starts_again_after_an_interrupted_install(clone: Path) -> None:
    python = clone / ".venv/bin/python"
    python.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        _installs(clone)
    python.write_text(PYTHON)
    assert _installs(clone) == [".[all]"]
