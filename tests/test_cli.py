"""The command line: what it imports, what it advises, and what it keeps in a run folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import TINY, command, refused

from worldmodels_repro import pipeline
from worldmodels_repro.cli import main
from worldmodels_repro.config import load_config
from worldmodels_repro.models.vae.layers import PAPER
from worldmodels_repro.presets import presets
from worldmodels_repro.run import Run, stages_of
from worldmodels_repro.verbs import VERBS

ROOT = Path(__file__).parents[1]
HEAVY = ("numpy", "tensorflow", "keras", "boto3", "openvino", "matplotlib", "gymnasium", "pydantic")


def _imported(words: list[str]) -> list[str]:
    """The heavy packages that a command line has imported when it ends."""
    program = ("import sys\n"
               "from worldmodels_repro.cli import main\n"
               "try:\n"
               f"    main({words!r})\n"
               "except SystemExit:\n"
               "    pass\n"
               f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout
    return list(json.loads(result.stderr.splitlines()[-1].replace("'", '"')))


# --- what verbs import ---

@pytest.mark.parametrize("words", [["--version"], ["--help"], ["evolve", "--help"],
                                   ["evaluate", "--help"], ["play", "--help"],
                                   ["results", "--help"], ["aws", "launch", "--help"]],
                         ids=" ".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    assert _imported(words) == []


def test_verbs_import_what_they_use() -> None:
    assert _imported(["settings"]) == ["pydantic"]
    told = _imported(["results", "--run", str(ROOT / "logs/carracing")])
    assert not {"tensorflow", "keras", "boto3", "openvino", "matplotlib"} & set(told)
    told = _imported(["info", "--config", "quick"])
    assert not {"tensorflow", "keras", "boto3", "openvino", "matplotlib"} & set(told)


def test_results_do_without_the_cloud() -> None:
    program = ("import sys\n"
               "from worldmodels_repro.cli import main\n"
               f"main(['results', '--run', {str(ROOT / 'logs/carracing')!r}])\n"
               "print([name for name in sys.modules if name.startswith(\n"
               "    ('worldmodels_repro.cloud', 'worldmodels_repro.remote'))])\n")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]"


# --- the pipeline's rows ---

def test_a_stages_name_is_its_files_its_scripts_and_its_verbs(tiny_run: Path) -> None:
    rows, made = pipeline.STAGES.values(), stages_of(load_config(TINY))
    # pretrain and classify stand in for vae, forward for memory, and learn for evolve.
    assert [stage.number for stage in rows] == [1, 2, 2, 2, 3, 4, 4, 5, 5, 6, 7]
    for name, stage in pipeline.STAGES.items():
        assert name in VERBS
        assert (ROOT / "worldmodels_repro" / "stages" / f"{name}.py").exists()
        script = (ROOT / "scripts" / stage.script).read_text()
        assert f'"${{stage[@]}}" {name} --config' in script and f"Stage {stage.number}:" in script
        for file in stage.writes if name in made else ():
            assert (tiny_run / name / file).exists(), (name, file)


@pytest.mark.parametrize("old", ["02_train_vae.sh", "03_encode.sh", "04_train_memory.sh"])
def test_old_names_of_scripts_are_links(old: str) -> None:
    link = ROOT / "scripts" / old
    assert link.is_symlink() and link.resolve().name[:3] == old[:3] and link.exists()


def test_a_run_goes_on_with_the_folder_that_an_earlier_version_made(tmp_path: Path) -> None:
    run = Run(tmp_path, load_config(TINY))
    assert run.folder("evaluate") == tmp_path / "evaluate"
    (tmp_path / "evaluation").mkdir()
    assert run.folder("evaluate") == tmp_path / "evaluation"
    assert Run(ROOT / "logs" / "doom", load_config(TINY)).is_done("evaluate")
    assert pipeline.folder_names(("vae", "rollouts/manifest.jsonl", "evaluate")) == (
        "vae", "rollouts/manifest.jsonl", "evaluate", "evaluation")


@pytest.mark.parametrize("words", [["--set", "seed=7", "evolve.sigma=0.3"],
                                   ["--set", "seed=7", "--set", "evolve.sigma=0.3"]], ids=" ".join)
def test_settings_stand_together_or_apart(words: list[str],
                                          capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--config", "quick", *words]) == 0
    settings = json.loads(capsys.readouterr().out)["config"]
    assert (settings["seed"], settings["evolve"]["sigma"]) == (7, 0.3)


# --- advice ---

def test_close_words_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["evolv"], "did you mean evolve?"),
                        (["vae", "--config", "carracin"], "did you mean carracing"),
                        (["vae", "--config", "configs/ablations/zz.yaml"], "ablations/z"),
                        (["vae", "--config", "quick", "--set", "evolve.sigm=1"], "mean sigma?"),
                        (["settings", "evole"], "did you mean evolve")):
        assert main(words) == 2
        assert said in capsys.readouterr().err


def test_a_preset_has_a_name_and_a_file_a_path(tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert {"quick", "ablations/z", "paper/doom"} <= presets().keys()
    assert load_config("ablations/z") == load_config(ROOT / "configs" / "ablations" / "z.yaml")
    (tmp_path / "own.yaml").write_text("base: quick\nseed: 7\n")
    own = load_config("own.yaml")
    assert own == load_config("quick").model_copy(update={"seed": 7})
    (tmp_path / "quick").mkdir()
    assert load_config("quick").seed == 1
    (tmp_path / "doom").write_text("seed: 9\n")
    assert load_config("doom").seed == 9


def test_advice_carries_the_words_as_they_were_given(tmp_path: Path) -> None:
    run = tmp_path / "a run"
    line = refused(command("latents", "--config", TINY, "--run", run, "--set", "seed=3"))
    assert line.endswith(f"type worldmodels vae --config {TINY} --run '{run}' --set seed=3")
    assert not run.exists()
    line = refused(command("results", "--config", TINY, "--run", run))
    assert line.endswith(f"type worldmodels evaluate --config {TINY} --run '{run}'")


# --- settings ---

def test_every_setting_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {line.split(" = ")[0]: after for line, after in pairwise(lines)
            if not line.startswith(" ")}
    for section, values in load_config("quick").plain().items():
        for key in values if isinstance(values, dict) else [""]:
            name = f"{section}.{key}".rstrip(".")
            assert told[name].startswith("    "), name
    assert main(["settings", "evolve.sigma"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "evolve.sigma = 0.1  (number > 0)", "    The strategy's first step size."]


def test_the_schema_is_that_of_configs(capsys: pytest.CaptureFixture[str]) -> None:
    from jsonschema import Draft202012Validator
    from ruamel.yaml import YAML

    assert main(["settings", "--schema"]) == 0
    validator = Draft202012Validator(json.loads(capsys.readouterr().out))
    for path in presets().values():
        validator.validate(YAML(typ="safe", pure=True).load(path.read_text()))
    assert not validator.is_valid({"vae": {"depth": 3}})
    assert not validator.is_valid({"evolve": {"sigma": 0}})


# --- parameter counts ---

@pytest.mark.parametrize("name", ["quick", "paper/carracing", "paper/doom"])
def test_parameters_are_those_that_keras_counts(name: str) -> None:
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import compiled_mdn_rnn
    from worldmodels_repro.models.vae.vae import compiled_vae

    config = load_config(name)
    actions = 1 if config.game == "take_cover" else 3
    z = config.vae.z
    assert PAPER.parameters(z) == compiled_vae(config.vae, 0).count_params()
    memory = compiled_mdn_rnn(config.memory, z, actions, 0)
    inputs = z + actions + config.memory.restart_input
    assert memory.head.parameters(inputs, config.memory.units) == memory.count_params()


# --- the journal ---

def test_a_run_keeps_what_was_typed_and_how_it_ended(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / "run.log").unlink()
    done = command("vae", "--config", TINY, "--run", run)
    assert done.returncode == 0
    assert done.stderr.startswith("vae: done already, ") and "nothing to do" in done.stderr
    refused(command("vae", "--run", run, "--set", "vae.z=16"))
    assert command("results", "--run", run).returncode == 0  # reading leaves no trace
    lines = [line.partition(" ") for line in (run / "run.log").read_text().splitlines()]
    texts = [text for _, _, text in lines]
    assert texts[0] == f"$ worldmodels vae --config {TINY} --run {run}"
    assert texts[1].startswith("vae: done already, ") and texts[2] == "= done"
    assert texts[3].endswith("vae.z=16") and texts[4].startswith("= refused: ")
    assert "vae.z" in texts[4] and len(texts) == 5
    assert all(time.strptime(when, "%Y-%m-%dT%H:%M:%SZ") for when, _, _ in lines)
    told = (tiny_run / "run.log").read_text()
    assert "vae: epoch 2" in told and told.count("= done") >= 6


# --- all ---

@pytest.mark.slow  # films and a sample of whole episodes
def test_all_runs_every_stage_and_prints_the_results(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    shutil.rmtree(run / "evaluate")
    result = command("all", TINY, "--run", run, "--set", "evaluate.episodes=1",
                     "--set", "evaluate.random_episodes=1")
    assert result.returncode == 0, result.stderr
    for stage in ("rollouts", "vae", "latents", "memory", "evolve"):
        assert f"{stage}: done already" in result.stderr
    assert "final.webp" in result.stdout and "core-hours" in result.stdout
    line = refused(command("all", TINY, "--run", run, "--set", "vae.z=16"))
    assert "vae.z" in line


def test_all_passes_on_that_it_is_to_end(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["all", str(TINY), "--run", str(run), "--set", "rollouts.policies={held: 1000}"]
    process = subprocess.Popen([sys.executable, "-m", "worldmodels_repro.cli", *words],
                               stderr=subprocess.PIPE, text=True, env=os.environ)
    for _ in range(300):
        if (run / "rollouts" / "manifest.jsonl").exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.count("interrupted; type the same command again") == 1
    assert (run / "run.log").read_text().splitlines()[-1].endswith("= interrupted")


def test_a_thread_that_does_not_end_does_not_keep_the_program() -> None:
    program = ("import sys, threading\n"
               "from worldmodels_repro import cli\n"
               "cli._FAREWELL = 1\n"
               "threading.Thread(target=threading.Event().wait, name='stays').start()\n"
               "sys.argv[1:] = ['settings', 'vae']\n"
               "sys.exit(cli.program())\n")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                            timeout=60)
    assert result.returncode == 1
    assert "vae.z" in result.stdout
    assert "in wait" in result.stderr  # where the thread is
