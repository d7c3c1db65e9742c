"""Configs: what is wrong is named, with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from worldmodels_repro.config import Config, load_config
from worldmodels_repro.errors import UserError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_configs_that_come_along_are_valid(path: Path) -> None:
    load_config(path)


@pytest.mark.parametrize(("text", "words"), [
    ("evolve: {sigm: 0.1}", ["evolve.sigm", "known here", "sigma"]),
    ("nonsense: 1", ["nonsense", "known here", "rollouts"]),
    ("vae: {epochs: many}", ["vae.epochs", "'many'", "integer"]),
    ("vae: {epochs: 1.5}", ["vae.epochs", "1.5"]),
    ("vae: {epochs: true}", ["vae.epochs", "True"]),
    ("vae: {epochs: -1}", ["vae.epochs", "-1", "greater than or equal to 0"]),
    ("vae: {epochs: 0}", ["vae.epochs=0", "set vae.start"]),
    ("memory: {steps: 0}", ["memory.steps", "0", "greater than or equal to 1"]),
    ("vae: {learning_rate: .inf}", ["learning_rate"]),
    ("vae: 3", ["vae", "3"]),
    ("seed: -1", ["seed", "-1", "greater than or equal to 0"]),
    ("game: chess", ["game", "'chess'", "car_racing"]),
    ("rollouts: {policies: {walk: 3}}", ["rollouts.policies", "'walk'", "brownian"]),
    ("rollouts: {policies: {controller: 3}}", ["rollouts.agent", "--set"]),
    ("controller: {inputs: [z, z]}", ["controller.inputs", "once"]),
    ("evolve: {drawn_endings: true}", ["evolve.drawn_endings", "memory.done=true"]),
    ("memory: {done_weight: 3.0}", ["memory.done_weight", "memory.done=true"]),
    ("memory: {reward_clip: 3.0}", ["memory.reward_clip", "memory.reward=true"]),
    ("rollouts: {agent: logs/quick}", ["rollouts.agent", "rollouts.policies"]),
    ("rollouts: {agent_noise: 0.5}", ["rollouts.agent_noise", "rollouts.policies"]),
    ("rollouts: {held_steps: [5, 2]}", ["rollouts.held_steps", "fewest"]),
    ("rollouts: {min_steps: 9, max_steps: 8}", ["rollouts.min_steps"]),
    ("{evolve: {untrained_memory: true}, controller: {inputs: [z]}}",
     ["evolve.untrained_memory", "controller.inputs"]),
    ("{controller: {mirror: true, by: td3}}", ["controller.mirror", "controller.by=cma_es"]),
    ("trackers: [comet]", ["'comet'", "tensorboard, wandb, mlflow", "path/to/file.py:NAME"]),
    ("trackers: [wandb, wandb]", ["trackers", "once"]),
    ("trackers: wandb", ["trackers", "array"]),
    ("- a\n- b", ["mapping"]),
    ("a: [", ["YAML"]),
    ("seed: !!python/object/apply:os.system [id]", ["YAML"]),
])
def test_a_wrong_config_is_explained_in_one_line(tmp_path: Path, text: str,
                                                 words: list[str]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        load_config(path)
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_overrides_are_yaml(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("seed: 2")
    config = load_config(path, ["evolve.sigma=1e-2", "rollouts.policies={held: 3}",
                                "controller.inputs=[z]"])
    assert (config.seed, config.evolve.sigma) == (2, 0.01)
    assert config.rollouts.policies == {"held": 3}
    assert config.controller.inputs == ("z",)
    with pytest.raises(UserError, match=r"section\.key=value"):
        load_config(path, ["evolve.sigma"])
    with pytest.raises(UserError, match="not a section"):
        load_config(path, ["seed.x=1"])


def test_a_base_is_laid_under(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("seed: 5\nvae: {epochs: 2, batch: 7}\n"
                                        "rollouts: {policies: {held: 1}}")
    (tmp_path / "top.yaml").write_text("base: base.yaml\nvae: {epochs: 3}\n"
                                       "rollouts: {policies: {brownian: 2}}")
    config = load_config(tmp_path / "top.yaml")
    assert (config.seed, config.vae.epochs, config.vae.batch) == (5, 3, 7)
    assert config.rollouts.policies == {"brownian": 2}
    (tmp_path / "base.yaml").write_text("base: top.yaml")
    with pytest.raises(UserError, match="circle"):
        load_config(tmp_path / "top.yaml")


def test_a_resolved_config_reads_back_the_same(tmp_path: Path) -> None:
    from worldmodels_repro.run import Run

    config = Config()
    run = Run(tmp_path / "run", config)
    run.begin("rollouts")
    assert load_config(tmp_path / "run" / "config.yaml") == config


def test_a_missing_config_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--config"):
        load_config(tmp_path / "none.yaml")


def test_a_run_of_a_newer_version_says_to_update(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("vae: {attention: 3}")
    with pytest.raises(UserError, match=r"unknown key vae\.attention.*update this project"):
        load_config(tmp_path / "config.yaml")
