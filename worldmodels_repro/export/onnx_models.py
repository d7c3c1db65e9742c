"""V's two halves, a step of M, and C, as ONNX models built from their weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from worldmodels_repro.article.engine import require_file, stretch
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.frame import FRAME
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.models.mdn_rnn.forward import MdnRnn, load_mdn_rnn
from worldmodels_repro.models.vae.vision import Vision, load_vision
from worldmodels_repro.run import Run
from worldmodels_repro.worlds.agent import Agent, asks_twice, load_agent

if TYPE_CHECKING:
    from worldmodels_repro.export.graph import Graph


def onnx_models(run: Run, say: Callable[[str], object]) -> dict[str, bytes]:
    """``v_encoder``, ``v_decoder``, ``m`` and, where it evolved, ``c`` as files by name.

    Raises:
        UserError: the run has no V or no M.
    """
    config = run.config
    for stage in ("vae", "memory"):
        require_file(run, stage, "weights.npz")
    vision, game = load_vision(run.path, config.vae.layers), game_named(config.game)
    memory = load_mdn_rnn(run.path, config.memory, vision.size, game.actions)
    about = {"game": game.judge_id, "actions": json.dumps(game.action_names),
             "repeat": str(game.repeat),
             "low": json.dumps(game.low.tolist()), "high": json.dumps(game.high.tolist())}
    models = {"v_encoder": encoder_graph(vision), "v_decoder": decoder_graph(vision),
              "m": memory_graph(memory, game.actions, config.memory.taken_actions)}
    try:
        models["c"] = controller_graph(_evolved(run), game)
    except UserError as error:
        say(f"c.onnx is left out: {error}")
    return {f"{name}.onnx": graph.model(about) for name, graph in models.items()}


def encoder_graph(vision: Vision) -> Graph:
    """Frames -> the posterior's mean and log variance (figure 22, left)."""
    graph, weights, layers = _graph("v_encoder"), vision.weights, vision.layers
    frames = graph.input("frames", FRAME, "RGB, 0 to 255", "UINT8")
    x = graph.node("Cast", frames, to=1)  # 1: float32
    x = graph.node("Div", x, graph.weight(np.array(255.0)))
    x = graph.node("Transpose", x, perm=[0, 3, 1, 2])  # (batch, 3, 64, 64)
    for number, layer in enumerate(layers.encoder, start=1):
        kernel = weights[f"encoder/conv{number}/kernel"].transpose(3, 2, 0, 1)  # (out, in, k, k)
        bias = weights[f"encoder/conv{number}/bias"]
        x = graph.node("Conv", x, graph.weight(kernel), graph.weight(bias),
                       strides=[layer.stride] * 2)
        x = graph.node("Relu", x)
    x = graph.node("Transpose", x, perm=[0, 2, 3, 1])  # Keras flattens (side, side, channels)
    x = graph.node("Flatten", x)
    for head, means in (("mu", "mean of z"), ("logvar", "log variance of z")):
        graph.output(head, graph.affine(x, weights[f"encoder/{head}/kernel"],
                                        weights[f"encoder/{head}/bias"]), [vision.size], means)
    return graph


def decoder_graph(vision: Vision) -> Graph:
    """z -> frames (figure 22, right)."""
    graph, weights, layers = _graph("v_decoder"), vision.weights, vision.layers
    z = graph.input("z", [vision.size], "latents")
    x = graph.affine(z, weights["decoder/dense/kernel"], weights["decoder/dense/bias"])
    x = graph.node("Reshape", x, graph.integers(-1, layers.dense, 1, 1))
    for number, layer in enumerate(layers.decoder, start=1):
        kernel = weights[f"decoder/deconv{number}/kernel"].transpose(3, 2, 0, 1)  # (in, out, k, k)
        bias = weights[f"decoder/deconv{number}/bias"]
        x = graph.node("ConvTranspose", x, graph.weight(kernel), graph.weight(bias),
                       strides=[layer.stride] * 2)
        x = graph.node("Relu" if number < len(layers.decoder) else "Sigmoid", x)
    graph.output("frames", graph.node("Transpose", x, perm=[0, 2, 3, 1]), FRAME,
                 "RGB, 0 to 1")
    return graph


def memory_graph(memory: MdnRnn, actions: int, taken: bool) -> Graph:
    """A step of M: z, the action, h and c -> the mixture of the next z, and the next h and c.

    Args:
        memory: M.
        actions: numbers in an action.
        taken: whether M is told of them as the game takes them.
    """
    graph, weights, head, units = _graph("m"), memory.weights, memory.head, memory.sizes["h"]
    means = "the action" + ", as the game takes it (Game.taken)" * taken
    parts = [graph.input("z", [memory.z], "latents that V drew, or M"),
             graph.input("action", [actions], means)]
    if memory.restart_input:
        parts.append(graph.input("restart", [1], "1 in an episode's first step, else 0"))
    h = graph.input("h", [units], "hidden state; 0 in an episode's first step")
    c = graph.input("c", [units], "cell state; 0 in an episode's first step")
    gates = graph.affine(graph.node("Concat", *parts, h, axis=1), np.concatenate(
        [weights["lstm/kernel"], weights["lstm/recurrent_kernel"]]), weights["lstm/bias"])
    into, forget, candidate, out = graph.nodes("Split", 4, gates, axis=1)  # Keras's order
    kept = graph.node("Mul", graph.node("Sigmoid", forget), c)
    new = graph.node("Mul", graph.node("Sigmoid", into), graph.node("Tanh", candidate))
    next_c = graph.node("Add", kept, new)
    next_h = graph.node("Mul", graph.node("Sigmoid", out), graph.node("Tanh", next_c))
    outputs = graph.affine(next_h, weights["mdn/kernel"], weights["mdn/bias"])
    heads = {name: means for there, name, means in (
        (memory.done, "done", "logit of: the episode ends with this step"),
        (memory.reward, "reward", "of this step")) if there}
    logits, mu, log_sigma, *rest = graph.nodes("Split", 3 + len(heads), outputs, graph.integers(
        *[head.size] * 3, *[1] * len(heads)), axis=1)
    shape = [memory.z, head.mixtures]
    logits, mu, log_sigma = (graph.node("Reshape", part, graph.integers(-1, *shape))
                             for part in (logits, mu, log_sigma))
    graph.output("log_weights", graph.node("LogSoftmax", logits, axis=-1), shape,
                 "of each Gaussian, normalised")
    graph.output("mu", mu, shape, "mean of each Gaussian of the next z")
    graph.output("log_sigma", log_sigma, shape, "log standard deviation of each Gaussian")
    for (name, means), value in zip(heads.items(), rest, strict=True):
        graph.output(name, value, [1], means)
    graph.output("next_h", next_h, [units], "hidden state after this step")
    graph.output("next_c", next_c, [units], "cell state after this step")
    return graph


def controller_graph(agent: Agent, game: Game) -> Graph:
    """What C sees -> an action in the game's ranges (section 2.4)."""
    graph, body, shape = _graph("c"), agent.body, agent.body.shape
    assert isinstance(shape, ControllerShape)
    scale, offset = stretch(game)
    x = graph.node("Concat", *(graph.input(name, [body.sizes[name]], "what C sees")
                               for name in body.inputs), axis=1)
    for matrix, bias in shape.parts(agent.weights[None]):
        x = graph.affine(x, matrix[0].T, np.zeros(matrix.shape[1]) if bias is None else bias[0])
        x = graph.node("Tanh", x)
    x = graph.node("Mul", x, graph.weight(scale))
    x = graph.node("Add", x, graph.weight(offset))
    x = graph.node("Max", x, graph.weight(game.low))
    graph.output("action", graph.node("Min", x, graph.weight(game.high)), [game.actions],
                 ", ".join(game.action_names))
    return graph


def _evolved(run: Run) -> Agent:
    """The run's agent, if it is one whose C evolved beside this M.

    Raises:
        UserError: it is not, or there is none.
    """
    if run.config.controller.stage == "learn":
        raise UserError("this run's C has learnt, and only one that evolved is written")
    if asks_twice(run.config):
        raise UserError("this run's C looks into a mirror, and only one that does not is written")
    if run.config.evolve.untrained_memory:
        raise UserError("this run's C was evolved beside an M that never learned")
    return load_agent(run.path)


def _graph(name: str) -> Any:
    from worldmodels_repro.export.graph import Graph  # onnx comes with an extra

    return Graph(name)
