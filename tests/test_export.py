"""What a run is exported as: ONNX models against Keras, and a folder that a page loads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import NODE, in_node

from worldmodels_repro.cli import main
from worldmodels_repro.config import load_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.runtime import import_openvino
from worldmodels_repro.models.weights import load_weights, set_weights
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.run import Run
from worldmodels_repro.worlds.agent import load_agent
from worldmodels_repro.worlds.dream import DreamWorld, load_dream

LOGS = Path(__file__).parents[1] / "logs"
GAMES = ["carracing_dream", "doom"]
HALF = 1e-3  # half precision has 11 bits: one part in 2,048
onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install -e '.[export]'")


@pytest.fixture(scope="module", params=GAMES)
def exported(request: pytest.FixtureRequest,
             tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A committed run, and its ONNX models."""
    run = Run(LOGS / request.param, load_config(LOGS / request.param / "config.yaml"))
    folder = tmp_path_factory.mktemp("onnx")
    assert main(["export", "--run", str(run.path), "--format", "onnx", "--out", str(folder)]) == 0
    return run, folder


def _computed(path: Path, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    """A model's outputs, as OpenVINO computes them from the file."""
    openvino, _ = import_openvino()
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert {port.any_name for port in model.inputs} == inputs.keys()
    outputs = model(inputs)
    return {name: np.array(outputs[port]) for port in model.outputs for name in port.names}


def _frames() -> np.ndarray:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (3, 8, 8, 3), np.uint8)
    return blocks.repeat(8, axis=1).repeat(8, axis=2)


def test_v_is_kerass(exported: tuple[Run, Path]) -> None:
    from worldmodels_repro.models.vae.vae import VAE

    run, folder = exported
    model = VAE(z=run.config.vae.z)
    set_weights(model, load_weights(run.path / "vae" / "weights.npz"))
    frames = _frames()
    posterior = _computed(folder / "v_encoder.onnx", frames=frames)
    for name, expected in zip(("mu", "logvar"), model.encode(frames), strict=True):
        np.testing.assert_allclose(posterior[name], expected, atol=HALF)
    z = np.random.default_rng(1).standard_normal((3, run.config.vae.z)).astype(np.float32)
    drawn = _computed(folder / "v_decoder.onnx", z=z)["frames"]
    np.testing.assert_allclose(drawn, model.decode(z), atol=HALF)


def test_m_is_kerass_step_by_step(exported: tuple[Run, Path]) -> None:
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import compiled_mdn_rnn

    run, folder = exported
    settings = run.config.memory.model_copy(update={"precision": "float32"})
    size = run.config.vae.z
    actions = game_named(run.config.game).actions
    model = compiled_mdn_rnn(settings, size, actions, 0)
    set_weights(model, load_weights(run.path / "memory" / "weights.npz"))
    rng = np.random.default_rng(0)
    z, action = (rng.standard_normal((2, 6, n)).astype(np.float32) for n in (size, actions))
    restart = np.zeros((2, 6, 1), np.float32)
    restart[:, 0] = 1.0
    inputs = [z, action, restart] if settings.restart_input else [z, action]
    expected = model.split(model(np.concatenate(inputs, axis=-1)))
    assert [part is not None for part in expected[3:]] == [settings.done, settings.reward]
    state = {name: np.zeros((2, settings.units), np.float32) for name in ("h", "c")}
    for t in range(6):
        told = {"z": z[:, t], "action": action[:, t]}
        if settings.restart_input:
            told["restart"] = restart[:, t]
        found = _computed(folder / "m.onnx", **told, **state)
        state = {"h": found["next_h"], "c": found["next_c"]}
        names = ("log_weights", "mu", "log_sigma", "done", "reward")
        for name, part in zip(names, expected, strict=True):
            if part is not None:
                wanted = np.asarray(part)[:, t]
                np.testing.assert_allclose(found[name].reshape(wanted.shape), wanted, atol=HALF,
                                           rtol=HALF)


def test_c_acts_as_the_agent_does(exported: tuple[Run, Path]) -> None:
    run, folder = exported
    agent, rng = load_agent(run.path), np.random.default_rng(0)
    assert agent.body.vision is not None and agent.body.memory is not None
    sizes = {"z": agent.body.vision.size, **agent.body.memory.sizes}
    seen = {name: rng.standard_normal((4, sizes[name])).astype(np.float32)
            for name in agent.body.inputs}
    weights = np.repeat(agent.weights[None], 4, axis=0)
    outputs = agent.body.shape.act(weights, np.concatenate(list(seen.values()), axis=1))
    expected = game_named(run.config.game).act(outputs)
    np.testing.assert_allclose(_computed(folder / "c.onnx", **seen)["action"], expected, atol=1e-5)


def test_weights_are_halves_and_the_files_the_same_each_time(exported: tuple[Run, Path],
                                                             tmp_path: Path) -> None:
    run, folder = exported
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    kept = sum(array.size for stage in ("vae", "memory")
               for array in np.load(run.path / stage / "weights.npz").values())
    assert sum(sizes.values()) < 1.1 * 2 * kept  # bytes of a half
    for name in ("v_encoder", "v_decoder", "m"):
        weights = onnx.load(folder / f"{name}.onnx").graph.initializer
        assert {each.data_type for each in weights if each.dims and np.prod(each.dims) > 10} == {
            onnx.TensorProto.FLOAT16}
    main(["export", "--run", str(run.path), "--format", "onnx", "--out", str(tmp_path)])
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_no_tensorflow_is_imported(tmp_path: Path) -> None:
    code = ("import sys; from worldmodels_repro.cli import main\n"
            f"main(['export', '--run', {str(LOGS / 'doom')!r}, '--format', 'onnx', "
            f"'--out', {str(tmp_path)!r}])\n"
            "print({'tensorflow', 'keras'} & set(sys.modules))")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "set()"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@NODE
def test_a_page_that_loads_the_folder_dreams_pythons_dream(served: tuple[Path, str]) -> None:
    folder, address = served
    run = LOGS / "carracing_dream"
    assert main(["export", "--run", str(run), "--format", "weights-js", "--out", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} == {
        "worldmodels.js", "kernel.wasm", "weights.json", "weights.bin"}
    script = folder / "page.mjs"
    (folder / "worldmodels.mjs").write_bytes((folder / "worldmodels.js").read_bytes())
    script.write_text(f"""
import {{Dream, load}} from "./worldmodels.mjs";
const {{model, agent}} = await load("{address}"), dream = new Dream(model, agent);
dream.begin(7, 1.0);
const rows = Array.from({{length: 20}}, () => {{
  dream.step(dream.choice());
  return Array.from(dream.mind.z);
}});
console.log(JSON.stringify([rows, model.decode(dream.mind.z).length]));""")
    rows, pixels = in_node(script)
    config = load_config(run / "config.yaml")
    config = config.model_copy(update={"evolve": config.evolve.model_copy(
        update={"precision": "f32"})})
    agent, world = load_agent(run), DreamWorld(load_dream(run, config), 1)
    policy = Controllers(agent.body, agent.weights[None], 1)
    policy.reset(0, 7, 0)
    world.reset(0, 7)
    for row in rows:
        world.advance(policy.act(world.features()))
        np.testing.assert_allclose(row, world.latents()[0], atol=1e-3)
    assert pixels == 64 * 64 * 4


def _refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["export", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("worldmodels: ")
    return lines[0]


def test_what_cannot_be_exported_is_refused_in_a_line(tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    run = str(LOGS / "carracing")
    assert "'onnx', 'weights-js'" in _refused(capsys, "--run", run, "--format", "tflite")
    assert "--format" in _refused(capsys, "--run", run)
    shutil.copy(LOGS / "carracing" / "config.yaml", tmp_path)
    for name in ("onnx", "weights-js"):
        line = _refused(capsys, "--run", str(tmp_path), "--format", name)
        assert "vae/weights.npz is missing: type worldmodels vae" in line
    assert not (tmp_path / "export").exists()


def test_a_c_that_does_not_belong_to_m_is_left_out(tmp_path: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    run = str(LOGS / "carracing_untrained")
    assert main(["export", "--run", run, "--format", "onnx", "--out", str(tmp_path)]) == 0
    assert "c.onnx is left out: " in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"v_encoder.onnx", "v_decoder.onnx",
                                                          "m.onnx"}
