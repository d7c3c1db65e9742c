"""The page's engine: its kernel against Keras, its draws and its dreams against Python's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime
from conftest import NODE, in_node

from worldmodels_repro.article import WEB, build
from worldmodels_repro.article.engine import (
    action_table,
    engine_of,
    memory_tensors,
    pack,
    vision_tensors,
)
from worldmodels_repro.config import load_config
from worldmodels_repro.envs.game import Game
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.mdn_rnn.forward import MdnRnn
from worldmodels_repro.models.vae.layers import PAPER, Conv, Layers
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import generator
from worldmodels_repro.storage import Arrays
from worldmodels_repro.worlds.agent import load_agent
from worldmodels_repro.worlds.dream import Dream, DreamWorld, load_dream

ROOT = Path(__file__).parents[1]
DEEP = Layers(encoder=(Conv(8, 4), Conv(16, 4), Conv(16, 4), Conv(32, 4)), dense=20,
              decoder=(Conv(12, 5), Conv(9, 5), Conv(5, 6), Conv(3, 6)))


class Kernel:
    """The WebAssembly under wasmtime."""

    def __init__(self) -> None:
        self.store = wasmtime.Store()
        module = wasmtime.Module(self.store.engine, build.KERNEL.read_bytes())
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.memory: Any = self.exports["memory"]
        heap: Any = self.exports["__heap_base"]
        self.end = (heap.value(self.store) + 63) & ~63

    def place(self, array: np.ndarray) -> int:
        array = np.ascontiguousarray(array, np.float32)
        at, self.end = self.end, (self.end + array.nbytes + 63) & ~63
        missing = self.end - self.memory.data_len(self.store)
        if missing > 0:
            self.memory.grow(self.store, -(-missing // 65536))
        self.memory.write(self.store, array.tobytes(), at)
        return at

    def floats(self, at: int, *shape: int) -> np.ndarray:
        end = at + 4 * int(np.prod(shape))
        return np.frombuffer(self.memory.read(self.store, at, end), np.float32).reshape(shape)

    def call(self, name: str, *words: float) -> None:
        function: Any = self.exports[name]
        function(self.store, *words)

    def decode(self, tensors: Arrays, rows: list[dict[str, int]], z: np.ndarray) -> np.ndarray:
        """z (z,) -> colours (64, 64, 3) in [0, 1]."""
        at = {name: self.place(array) for name, array in tensors.items()}
        size = len(tensors["v/0/bias"])
        x, y = self.place(z), self.place(np.zeros(size))
        self.call("affine", x, at["v/0/kernel"], at["v/0/bias"], y, len(z), size)
        self.call("relu", y, size)
        for number, row in enumerate(rows, start=1):
            side, k, stride = row["side"], row["kernel"], row["stride"]
            last = (side - 1) * stride + k
            border = 2 * ((k - 1) // stride)
            room = self.place(np.zeros((side + border) ** 2 * row["in"]))
            x, y = y, self.place(np.zeros(last**2 * row["out"]))
            self.call("deconv", x, at[f"v/{number}/kernel"], at[f"v/{number}/bias"], y, room,
                      side, row["in"], row["out"], k, stride)
            self.call("relu" if number < len(rows) else "sigmoids", y, last**2 * row["out"])
        return self.floats(y, 64, 64, 4)[:, :, :3]


def _agrees_with_keras(layers: Layers, z: int, weights: Arrays) -> None:
    from worldmodels_repro.models.vae.vae import VAE
    from worldmodels_repro.models.weights import set_weights

    model = VAE(z=z, layers=layers)
    set_weights(model, weights)
    latents = np.random.default_rng(1).standard_normal((3, z)).astype(np.float32)
    expected = np.asarray(model.decode(latents))
    for latent, frame in zip(latents, expected, strict=True):
        drawn = Kernel().decode(*vision_tensors(weights, layers), latent)
        np.testing.assert_allclose(drawn, frame, atol=1e-5)


def test_the_kernel_is_built_from_its_source() -> None:
    pytest.importorskip("ziglang", reason="ziglang is not installed: pip install -e '.[dev]'")
    assert build.compiled() == build.KERNEL.read_bytes(), (
        "kernel.c was changed: type python -m worldmodels_repro.article.build")


def test_the_engine_is_small() -> None:
    scripts = [WEB / "random.js", WEB / "engine.js"]
    assert sum(path.stat().st_size for path in (build.KERNEL, *scripts)) <= 60_000


def test_v_draws_what_keras_draws() -> None:
    weights = load_run("carracing_dream")[2]
    _agrees_with_keras(PAPER, 32, weights)


def test_v_of_other_layers_draws_what_keras_draws() -> None:
    rng = np.random.default_rng(0)
    weights = {name: (rng.standard_normal(shape) * 0.3).astype(np.float32)
               for name, shape in DEEP.shapes(6).items()}
    _agrees_with_keras(DEEP, 6, weights)


@pytest.mark.parametrize("name", ["carracing_dream", "doom"])
def test_m_steps_as_keras_steps(name: str) -> None:
    import keras

    run, _, _ = load_run(name)
    memory = load_dream(run.path, run.config).memory
    assert isinstance(memory, MdnRnn)
    tensors, sizes = memory_tensors(memory)
    units, inputs = sizes["units"], sizes["inputs"]
    cell = keras.layers.LSTMCell(units)
    cell.build((None, inputs))
    cell.set_weights([memory.weights[f"lstm/{part}"]
                      for part in ("kernel", "recurrent_kernel", "bias")])
    kernel = Kernel()
    at = {name: kernel.place(array) for name, array in tensors.items()}
    h, c = kernel.place(np.zeros(units)), kernel.place(np.zeros(units))
    gates, out = kernel.place(np.zeros(4 * units)), kernel.place(np.zeros(sizes["outputs"]))
    state = [np.zeros((1, units), np.float32)] * 2
    rng = np.random.default_rng(2)
    for _ in range(20):
        x = rng.standard_normal(inputs).astype(np.float32)
        _, state = cell(x[None], state)
        fed = kernel.place(np.concatenate([x, kernel.floats(h, units)]))
        kernel.call("affine", fed, at["m/lstm/kernel"], at["m/lstm/bias"], gates, inputs + units,
                    4 * units)
        kernel.call("lstm", gates, h, c, units)
        kernel.call("affine", h, at["m/mdn/kernel"], at["m/mdn/bias"], out, units,
                    sizes["outputs"])
        expected = (np.asarray(state[0])[0].astype(float) @ memory.weights["mdn/kernel"]
                    + memory.weights["mdn/bias"])
        np.testing.assert_allclose(kernel.floats(h, units), np.asarray(state[0])[0], atol=1e-5)
        np.testing.assert_allclose(kernel.floats(c, units), np.asarray(state[1])[0], atol=1e-5)
        np.testing.assert_allclose(kernel.floats(out, sizes["outputs"]), expected, atol=1e-5)
        h, c = (kernel.place(np.asarray(part)[0]) for part in state)  # or last bits would grow


def test_exponentials_are_exact_to_a_few_parts_in_ten_million() -> None:
    x = np.linspace(-20, 20, 100_001).astype(np.float32)
    kernel = Kernel()
    for name, exact in (("tanhs", np.tanh), ("sigmoids", lambda x: 1 / (1 + np.exp(-x)))):
        at = kernel.place(x)
        kernel.call(name, at, len(x))
        np.testing.assert_allclose(kernel.floats(at, len(x)), exact(x.astype(float)), atol=3e-7)


def test_draws_of_z_fit_the_mixture() -> None:
    n, K, tau = 20_000, 3, 1.3
    logits, mu, log_sigma = np.array([0.0, 1.0, -1.0]), np.array([-2.0, 0.5, 3.0]), np.log([
        0.1, 0.5, 1.0])
    mixtures = np.concatenate([np.tile(part, n) for part in (logits, mu, log_sigma)])
    rng = np.random.default_rng(0)
    kernel = Kernel()
    z = kernel.place(np.zeros(n))
    kernel.call("draw", kernel.place(mixtures), kernel.place(rng.random(n)),
                kernel.place(rng.standard_normal(n)), z, n, K, tau)
    weights = np.exp(logits / tau) / np.exp(logits / tau).sum()
    mean = (weights * mu).sum()
    variance = (weights * (np.exp(2 * log_sigma) * tau + mu**2)).sum() - mean**2
    drawn = kernel.floats(z, n)
    assert drawn.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / n))
    assert drawn.var() == pytest.approx(variance, rel=0.05)


def test_packed_tensors_lose_nothing() -> None:
    import zlib

    exact = np.array([0.5, -2.0, 6e-8], np.float16).astype(np.float32)
    fine = np.array([[0.1, 1e9]], np.float32)
    listed, packed = pack({"exact": exact, "fine": fine, "bytes": np.arange(3, dtype=np.uint8)})
    assert [entry["kind"] for entry in listed] == ["f2", "f4", "u1"]
    assert len(zlib.decompress(packed, -15)) == 3 * 2 + 2 * 4 + 3


def test_an_m_that_no_one_trained_has_no_dream_to_show() -> None:
    path = ROOT / "logs" / "carracing_untrained"
    with pytest.raises(UserError, match="never learned"):
        engine_of(Run(path, load_config(path / "config.yaml")))


def test_what_the_kernel_cannot_express_is_refused() -> None:
    flat = Layers(decoder=(Conv(3, 64),))
    with pytest.raises(UserError, match="two transposed convolutions"):
        vision_tensors({}, flat)
    with pytest.raises(UserError, match="V's decoder, and this V was kept without"):
        vision_tensors({}, Layers())
    low, high = np.array([-1.0], np.float32), np.array([1.0], np.float32)
    curved = Game(name="curved", judge_id="", low=low, high=high, solved=1.0,
                  squash=lambda outputs: (outputs**3).astype(np.float32))
    with pytest.raises(UserError, match="curved's squash"):
        action_table(curved, False)
    odd = Game(name="odd", judge_id="", low=low, high=high, solved=1.0, taken=np.sin)
    with pytest.raises(UserError, match="odd's taken"):
        action_table(odd, True)


def load_run(name: str) -> tuple[Run, Dream, Arrays]:
    from worldmodels_repro.models.vae.vision import load_vision

    path = ROOT / "logs" / name
    run = Run(path, load_config(path / "config.yaml"))
    return run, load_dream(path, run.config), load_vision(path).weights


def with_engine(script: str, tmp_path: Path) -> Any:
    """What a script prints, as JSON, after the engine's own."""
    file = tmp_path / "script.js"
    engine = "\n".join((WEB / name).read_text() for name in ("random.js", "engine.js"))
    file.write_text(f"{engine}\n{script}")
    return in_node(file)


@NODE
def test_javascript_draws_numpys_numbers(tmp_path: Path) -> None:
    seeds = [0, 7, 1_610_612_736]
    drawn = with_engine(f"""
const all = {seeds}.map((seed) => {{
  const draws = new Generator(seed), many = (draw) => Array.from({{length: 20000}}, draw);
  return [[draws.below(700)], many(() => draws.normal()), many(() => draws.uniform()),
          many(() => draws.double()), many(() => draws.logistic(2.3))];
}});
console.log(JSON.stringify(all));""", tmp_path)
    for seed, parts in zip(seeds, drawn, strict=True):
        rng = generator(seed)
        expected: list[Any] = [[rng.integers(700)], rng.standard_normal(20000, np.float32),
                    rng.random(20000, np.float32), rng.random(20000), rng.logistic(2.3, size=20000)]
        for mine, theirs in zip(parts, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def _dreams(name: str, tmp_path: Path, steps: int, seeds: list[int],
            **changed: Any) -> tuple[np.ndarray, np.ndarray]:
    """Latents (seeds, steps, z) of Python's dreams and of the page's, with the agent at the wheel.

    In float32, as a machine without bfloat16 dreams.
    """
    path = ROOT / "logs" / name
    config = load_config(path / "config.yaml")
    config = config.model_copy(update={"evolve": config.evolve.model_copy(
        update={"precision": "f32", **changed})})
    run = Run(path, config)
    tensors, about = engine_of(run)
    about["tensors"], data = pack(tensors)
    (tmp_path / "data").write_bytes(data)
    page = with_engine(f"""
const fs = require("fs"), zlib = require("zlib");
const about = {json.dumps(about)};
const raw = new Uint8Array(zlib.inflateRawSync(fs.readFileSync("{tmp_path / "data"}")));
const code = fs.readFileSync("{build.KERNEL}");
const memory = new Memory(new WebAssembly.Instance(new WebAssembly.Module(code), {{}}));
const model = new Model(memory, about, unpack(about.tensors, raw));
const dream = new Dream(model, model.controller(model.tensors.c.data));
console.log(JSON.stringify({seeds}.map((seed) => {{
  dream.begin(seed, about.temperature);
  return Array.from({{length: {steps}}}, () => {{
    dream.step(dream.choice());
    return [...dream.mind.z, dream.score];
  }});
}})));""", tmp_path)
    agent = load_agent(path)
    world = DreamWorld(load_dream(path, config), len(seeds))
    policy = Controllers(agent.body, agent.weights[None], len(seeds))
    score, rows = np.zeros(len(seeds)), []
    for slot, seed in enumerate(seeds):
        policy.reset(slot, seed, 0)
        world.reset(slot, seed)
    for _ in range(steps):
        rewards, _ = world.advance(policy.act(world.features()))
        score += rewards
        rows.append(np.concatenate([world.latents(), score[:, None]], axis=1))
    return np.stack(rows, axis=1), np.array(page)


@NODE
@pytest.mark.parametrize("name", ["carracing_dream", "carracing", "carracing_z_hidden", "doom"])
def test_a_seed_is_the_same_dream_here_and_on_the_page(name: str, tmp_path: Path) -> None:
    python, page = _dreams(name, tmp_path, 50, [7, 8, 1_342_177_280])
    np.testing.assert_allclose(page, python, atol=1e-3)


@NODE
def test_dreams_of_a_part_of_m_at_their_own_temperatures_are_the_same_too(tmp_path: Path) -> None:
    python, page = _dreams("doom", tmp_path, 50, [3], dropout=0.05, drawn_endings=True,
                           temperature_spread=0.5)
    np.testing.assert_allclose(page, python, atol=1e-3)
