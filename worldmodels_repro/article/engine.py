"""A run's V, M and C as the page's kernel takes them: named tensors, packed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.models.mdn_rnn.forward import MdnRnn
from worldmodels_repro.models.vae.layers import Layers, layers_named
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.models.weights import as_halves
from worldmodels_repro.run import Run
from worldmodels_repro.storage import Arrays
from worldmodels_repro.worlds.agent import load_agent
from worldmodels_repro.worlds.dream import AHEAD, load_dream

BLOCK = 8  # channels that the kernel computes at once; 4 in the last layer

TOLD: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "numbers": lambda actions: actions,
    "thirds": lambda actions: np.where(np.abs(actions) > 1 / 3, np.sign(actions), 0.0),
}
"""What M may be told of actions, by the name under which the page does the same."""


def engine_of(run: Run) -> tuple[Arrays, dict[str, Any]]:
    """Tensors by name, and what they are: V's decoder, M, C, where dreams start, and actions.

    Raises:
        UserError: the run has no V, M or C, or the kernel can't express one.
    """
    if run.config.controller.stage == "learn":
        raise UserError(f"{run.path}: the page's C is one that evolved, and this one has learnt; "
                        "name another run")
    for stage, file in (("vae", "weights.npz"), ("memory", "weights.npz"), ("evolve", "agent.npz")):
        require_file(run, stage, file)
    config = run.config
    if config.evolve.untrained_memory:
        raise UserError(f"{run.path} can't dream: its C was evolved beside an M that never "
                        "learned; name it after another run")
    vision = load_vision(run.path, config.vae.layers)
    agent, dream = load_agent(run.path), load_dream(run.path, config)
    if not isinstance(dream.memory, MdnRnn):
        raise UserError("the page dreams with an MDN-RNN: this run's M is another; leave it out")
    v, rows = vision_tensors(vision.weights, layers_named(config.vae.layers))
    m, sizes = memory_tensors(dream.memory)
    shape, ending = agent.body.shape, dream.ending_weight
    assert isinstance(shape, ControllerShape)
    tensors = v | m | {"c": agent.weights, "starts/mu": dream.starts["mu"],
                       "starts/logvar": dream.starts["logvar"]}
    return tensors, {
        "v": rows,
        "m": sizes | {"endingLog": None if ending is None else float(np.log(ending)),
                      "dropout": dream.dropout, "spread": dream.spread},
        "c": {"inputs": list(dream.inputs), "layers": shape.layers, "bias": shape.bias},
        "action": action_table(game_named(config.game), dream.taken_actions),
        "temperature": dream.temperature}


def require_file(run: Run, stage: str, file: str) -> None:
    """See that a stage has written a file.

    Raises:
        UserError: it has not: what to type.
    """
    path = run.folder(stage) / file
    if not path.exists():
        raise UserError(f"{path} is missing: type {run.command(stage)}")


def pack(tensors: Mapping[str, np.ndarray]) -> tuple[list[dict[str, Any]], bytes]:
    """What each tensor is, and all of them, deflated.

    Floats that are halves are kept as halves. Bytes go plane by plane, all of a tensor's first
    bytes, then its second ones: they shrink the better for it.

    Args:
        tensors: by name; float or uint8.

    Returns:
        ``name``, ``shape`` and ``kind`` (``f2``, ``f4``, ``u1``) of each, and raw deflate data.
    """
    listed, planes = [], []
    for name, array in tensors.items():
        if array.dtype != np.uint8:
            array = as_halves(array.astype(np.float32))
        kind = array.dtype.str[1:]
        listed.append({"name": name, "shape": list(array.shape), "kind": kind})
        raw = np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.dtype.itemsize)
        planes.append(raw.T.tobytes())
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return listed, deflate.compress(b"".join(planes)) + deflate.flush()


def vision_tensors(weights: Arrays, layers: Layers) -> tuple[Arrays, list[dict[str, int]]]:
    """V's decoder, and its transposed convolutions after the first.

    The dense layer and the first transposed convolution, of one pixel, are one matrix. Channels
    are filled up with zeros to whole blocks.

    Raises:
        UserError: a decoder of one layer, or a V that was kept without.
    """
    if len(layers.decoder) < 2:
        raise UserError("the page draws V's of two transposed convolutions or more: this one has "
                        "one; leave the run out")
    if "decoder/dense/kernel" not in weights:
        raise UserError("the page draws with V's decoder, and this V was kept without: restore its "
                        "weights, or leave the run out")
    dense, bias = (weights[f"decoder/dense/{part}"].astype(np.float64)
                   for part in ("kernel", "bias"))
    first = layers.decoder[0]
    kernel = _filled(weights["decoder/deconv1/kernel"].astype(np.float64), -2, BLOCK)
    columns = kernel.transpose(3, 0, 1, 2).reshape(layers.dense, -1)  # (dense, y x channel)
    edge = np.tile(_filled(weights["decoder/deconv1/bias"], -1, BLOCK), first.kernel**2)
    tensors = {"v/0/kernel": (dense @ columns).astype(np.float32),
               "v/0/bias": (bias @ columns + edge).astype(np.float32)}
    rows, sides = [], layers.decoder_sides
    for number, layer in enumerate(layers.decoder[1:], start=1):
        block = 4 if number == len(layers.decoder) - 1 else BLOCK
        kernel = _filled(weights[f"decoder/deconv{number + 1}/kernel"], -2, block)  # (k, k, o, i)
        kernel = _filled(kernel, -1, BLOCK)
        k, _, out, into = kernel.shape
        tensors[f"v/{number}/kernel"] = (kernel.transpose(2, 0, 1, 3)
                                         .reshape(out // block, block, k, k, into)
                                         .transpose(0, 2, 3, 4, 1))
        tensors[f"v/{number}/bias"] = _filled(weights[f"decoder/deconv{number + 1}/bias"], -1,
                                              block)
        rows.append({"side": sides[number], "in": into, "out": out, "kernel": k,
                     "stride": layer.stride})
    return tensors, rows


def memory_tensors(memory: MdnRnn) -> tuple[Arrays, dict[str, Any]]:
    """M's matrices, and what its inputs and outputs are."""
    weights, head = memory.weights, memory.head
    joined = np.concatenate([weights["lstm/kernel"], weights["lstm/recurrent_kernel"]])
    tensors = {"m/lstm/kernel": joined, "m/lstm/bias": weights["lstm/bias"],
               "m/mdn/kernel": weights["mdn/kernel"], "m/mdn/bias": weights["mdn/bias"]}
    return tensors, {
        "z": memory.z, "units": memory.sizes["h"], "mixtures": head.mixtures,
        "inputs": len(weights["lstm/kernel"]), "outputs": head.outputs, "done": head.done_at,
        "reward": head.reward_at, "restart": memory.restart_input, "ahead": AHEAD}


def action_table(game: Game, taken_actions: bool) -> dict[str, Any]:
    """What C's outputs and a person's keys come to, in numbers.

    Raises:
        UserError: the game's ``squash`` or ``taken`` is none that the page knows.
    """
    scale, offset = stretch(game)
    acted = game.act(_outputs(game))
    told = game.told(taken_actions)(acted)
    how = next((name for name, function in TOLD.items()
                if np.allclose(function(acted), told, atol=1e-6)), None)
    if how is None:
        raise UserError(f"the page can tell M of actions as they are or by thirds: {game.name}'s "
                        "taken is another; leave the run out")
    return {"scale": scale.tolist(), "offset": offset.tolist(), "low": game.low.tolist(),
            "high": game.high.tolist(), "told": how, "keys": dict(game.keys), "fps": game.fps,
            "most": game.max_steps, "repeat": game.repeat}


def stretch(game: Game) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset (A,) that C's outputs become actions by, once they are clipped.

    Raises:
        UserError: the game's ``squash`` is none of that kind.
    """
    high, middle = game.act(np.ones((1, game.actions))), game.act(np.full((1, game.actions), 0.5))
    scale = 2.0 * (high - middle)[0].astype(float)
    offset, outputs = high[0] - scale, _outputs(game)
    if not np.allclose(np.clip(offset + scale * outputs, game.low, game.high), game.act(outputs),
                       atol=1e-6):
        raise UserError(f"actions that are stretched and clipped can be written: {game.name}'s "
                        "squash is another; leave the run out")
    return scale, offset


def _outputs(game: Game) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (1000, game.actions))


def _filled(array: np.ndarray, axis: int, block: int) -> np.ndarray:
    """Zeros at an axis's end, up to a multiple of ``block``."""
    width = [(0, 0)] * array.ndim
    width[axis] = (0, -array.shape[axis] % block)
    return np.pad(array, width)
