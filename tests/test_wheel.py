"""The wheel alone, in an empty directory: every verb works, and a base install plays and dreams."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import TINY

ROOT = Path(__file__).parents[1]
EXTRAS = ("tensorflow", "keras", "tensorboard", "boto3", "botocore", "mpi4py", "sklearn",
          "matplotlib")
Worldmodels = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves folders behind."""
    home = tmp_path_factory.mktemp("wheel")
    tree = home / "tree"
    for name in ("worldmodels_repro", "configs", "aws", "docs/results/benchmarks"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index",
                    "--no-build-isolation", "--wheel-dir", home, tree], check=True)
    return next(home.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it, and everything else as it is here."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet",
                    "--no-deps", "--no-index", "--ignore-installed", wheel], check=True)
    packages = next(home.glob("lib/python*/site-packages"))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


@pytest.fixture
def worldmodels(installed: Path, tmp_path: Path) -> Worldmodels:
    """Types a command in an empty directory."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def type_in(*words: object, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess:
        result = subprocess.run([installed / "bin" / "worldmodels", *map(str, words)],
                                cwd=tmp_path, capture_output=True, text=True, timeout=120,
                                env=environment | {"SDL_VIDEODRIVER": "dummy"})
        assert result.returncode in codes, result.stderr
        return result

    return type_in


def _copied_run(folder: Path) -> Path:
    """A committed run without its pictures, where `results` and `play` find it."""
    run = folder / "logs" / "carracing"
    shutil.copytree(ROOT / "logs" / "carracing", run,
                    ignore=shutil.ignore_patterns("figures", "reconstructions", "agents"))
    return run


def test_the_wheel_holds_one_copy_of_what_lies_at_the_top_level(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder, place in (("configs", "configs"), ("benchmarks", "docs/results/benchmarks")):
        for path in (ROOT / place).rglob("*.*"):
            assert f"worldmodels_repro/{folder}/{path.relative_to(ROOT / place)}" in names
    for name in ("py.typed", "aws/prices.yaml", "aws/stack.yaml", "aws/user-data.sh",
                 "article/kernel.wasm", "article/web/page.html", "article/web/engine.js"):
        assert f"worldmodels_repro/{name}" in names
    assert not any(name.startswith(("tests/", "benchmarks/", "aws/", "logs/")) for name in names)


def test_words_that_only_tell(worldmodels: Worldmodels) -> None:
    assert worldmodels("--version").stdout.startswith("worldmodels 0.")
    assert "vae.z = 32  (integer" in worldmodels("settings", "vae").stdout
    told = json.loads(worldmodels("info", "--config", "ablations/z").stdout)
    assert told["run"] == "logs/z" and told["parameters"]["C"] == 99
    assert told["config"]["controller"]["inputs"] == ["z"]
    assert "prices:" in worldmodels("aws", "costs", "--estimate", "--config", "quick").stdout
    assert "would make" in worldmodels("aws", "up", "--dry-run").stdout
    # What it finds wrong is the machine's: here, say, MPI, which its wheel seeks in the prefix.
    assert "openvino" in worldmodels("doctor", codes=(0, 1)).stdout
    assert "quick?" in worldmodels("info", "--config", "quik", codes=(2,)).stderr


def test_stages_run_and_committed_runs_open(worldmodels: Worldmodels, tmp_path: Path) -> None:
    few = [word for setting in ("rollouts.policies={held: 2}", "rollouts.max_steps=20",
                                "rollouts.patience=0") for word in ("--set", setting)]
    said = worldmodels("rollouts", "--config", "quick", *few).stderr
    assert "rollouts:" in said
    assert len((tmp_path / "logs/quick/rollouts/manifest.jsonl").read_text().splitlines()) == 2
    shutil.copy(TINY, tmp_path / "own.yaml")
    assert "type worldmodels rollouts --config own.yaml" in worldmodels(
        "vae", "--config", "own.yaml", codes=(2,)).stderr
    run = _copied_run(tmp_path)
    assert "918.9" in worldmodels("results", "--run", run).stdout
    assert "dollars" in worldmodels("results", "--run", run, "--prices").stdout
    assert worldmodels("evaluate", "--run", run).stderr.startswith("evaluate: done already, 21 Nov")
    worldmodels("play", "--run", run, "--world", "dream", "--gif", "dream.gif")
    assert (tmp_path / "dream.gif").stat().st_size > 1000


def test_a_base_install_plays_judges_and_dreams(installed: Path, tmp_path: Path) -> None:
    """None of the extras' modules can be imported here; one that is asked for is named."""
    run = _copied_run(tmp_path)
    shutil.rmtree(run / "evaluation")
    program = (
        "import sys\n"
        f"for name in {EXTRAS}: sys.modules[name] = None\n"
        "from worldmodels_repro.cli import main\n"
        "if __name__ == '__main__':\n"
        "    few = ['--set', 'evaluate.episodes=1', '--set', 'evaluate.random_episodes=0',\n"
        "           '--set', 'evolve.workers=1']\n"
        "    assert main(['evaluate', '--run', 'logs/carracing', *few]) == 0\n"
        "    assert main(['results', '--run', 'logs/carracing', '--prices']) == 0\n"
        "    from worldmodels_repro.watch import scene\n"
        "    step = scene.GameScene.step\n"  # a whole episode takes its time
        "    scene.GameScene.step = lambda self, action: step(self, action) or self.steps > 20\n"
        "    for world in ('real', 'dream'):\n"
        "        assert main(['play', '--run', 'logs/carracing', '--world', world,\n"
        "                     '--gif', f'{world}.gif']) == 0\n"
        "    assert main(['report', '--run', 'logs/carracing']) == 0\n"
        "    import gymnasium, worldmodels_repro.envs\n"
        "    env = gymnasium.make('worldmodels/Dream-v0', run='logs/carracing')\n"
        "    assert env.observation_space.contains(env.reset(seed=1)[0])\n"
        "    assert main(['aws', 'costs', '--estimate', '--config', 'quick']) == 0\n"
        "    for words in (['vae', '--run', 'logs/new', '--config', 'quick'],\n"
        "                  ['figures', '--run', 'logs/carracing'], ['aws', 'status']):\n"
        "        assert main(words) == 2\n")
    (tmp_path / "base.py").write_text(program)
    result = subprocess.run([installed / "bin" / "python", "base.py"], cwd=tmp_path, text=True,
                            capture_output=True, timeout=180, env={
                                "PATH": "/usr/bin:/bin", "SDL_VIDEODRIVER": "dummy"})
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("worldmodels:")]
    for line, extra in zip(lines, ("train", "figures", "aws"), strict=True):
        assert line.endswith(f"is not installed: type pip install 'worldmodels-repro[{extra}]'")
    assert not (tmp_path / "logs" / "new").exists()
