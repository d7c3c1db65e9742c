"""A trained network that predicts frames, as data: its programs. No Keras, no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from worldmodels_repro.data.clips import shrunk
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import Context, Predicted
from worldmodels_repro.models.runtime import Program, import_openvino
from worldmodels_repro.storage import Arrays, load_npz

if TYPE_CHECKING:
    from worldmodels_repro.sections import Forward  # workers need no settings

PROGRAMS = ("start_xml", "start_bin", "step_xml", "step_bin")


@dataclass(frozen=True, kw_only=True)
class FrameNetwork:
    """A :class:`FrameModel`.

    Attributes:
        programs: as ``export.programs`` makes them.
        side: S, of the frames.
        seen: K, frames of context that it is shown; 0: it starts from the serve.
        game: whose frames they are, as the registry names it.
        scores: whether endings and rewards were learnt.
    """

    programs: Arrays
    side: int
    seen: int
    game: str
    scores: bool

    def predictor(self, batch: int) -> Predictor:
        """It at work, ``batch`` episodes at a time."""
        return Predictor(self, batch)


class Predictor:
    """A :class:`PredictsFrames`: a network's programs for a fixed batch, on one core."""

    def __init__(self, network: FrameNetwork, batch: int):
        self._network, self._batch, self._pixels = network, batch, network.side**2 * 3
        game = game_named(network.game)
        self._told = game.taken
        side = network.side
        shape = (network.seen, side, side, 3) if network.seen else (2,)
        self._context, self._state, self._start = self._compiled("start", shape)
        self.size = self._state.shape[1]
        self._row, self._out, self._step = self._compiled("step", (self.size + game.actions,))

    def start(self, context: Context) -> np.ndarray:
        """The state (B, n); from a serve it is brought to the frame now by the actions."""
        network = self._network
        if network.seen:
            frames = shrunk(context.frames[:, -network.seen:], network.side)
            np.divide(frames, 255.0, out=self._context, casting="same_kind")
        else:
            self._context[:] = context.serve
        self._start.run()
        state = self._state.copy()
        for actions in () if network.seen else context.actions.swapaxes(0, 1):
            state = self.step(state, actions).state
        return state

    def step(self, state: np.ndarray, actions: np.ndarray) -> Predicted:
        """State (B, n), actions (B, A) -> what comes next."""
        self._row[:, :self.size], self._row[:, self.size:] = state, self._told(actions)
        self._step.run()
        out, pixels, side = self._out.copy(), self._pixels, self._network.side
        return Predicted(out[:, :pixels].reshape(-1, side, side, 3), out[:, pixels],
                         out[:, pixels + 1], out[:, pixels + 2:])

    def parts(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the frame was put together of that came with a state (B, n).

        Returns:
            How far each part was moved, right and down in the frame's pixels, (B, k, 2), and the
            parts where they are then, (B, k, S, S, 3) in [0, 1].

        Raises:
            UserError: the network's frames are not made of parts.
        """
        source, target, program = self._parts
        source[:] = state
        program.run()
        side = self._network.side
        count = target.shape[1] // (2 + self._pixels)
        return (target[:, :2 * count].copy().reshape(-1, count, 2),
                target[:, 2 * count:].copy().reshape(-1, count, side, side, 3))

    @cached_property
    def _parts(self) -> tuple[np.ndarray, np.ndarray, Program]:
        if "parts_xml" not in self._network.programs:
            raise UserError("the network puts no parts together: forward.network=assets does; one "
                            "from before they were kept has to be trained anew")
        return self._compiled("parts", (self.size,))

    def _compiled(self, name: str,
                  shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, Program]:
        """Its input's buffer, its output's, and the program."""
        openvino, _ = import_openvino()
        text, weights = (self._network.programs[f"{name}_{part}"].tobytes()
                         for part in ("xml", "bin"))
        model: Any = openvino.Core().read_model(text, weights)
        model.reshape([self._batch, *shape])
        source = np.zeros((self._batch, *shape), np.float32)
        target = np.zeros(tuple(model.outputs[0].shape), np.float32)
        return source, target, Program(openvino, model, source, target, "f32", 1)


def load_frame_network(run: Path, settings: Forward, game: str) -> FrameNetwork:
    """The network of a run folder.

    Args:
        run: the folder.
        settings: of the network, as it was trained.
        game: as the registry names it.

    Raises:
        UserError: there is none, or it is of another game.
    """
    path = run / "forward" / "programs.npz"
    arrays = load_npz(path, beside=(*PROGRAMS, "actions"))
    actions = game_named(game).actions
    if not np.array_equal(arrays.pop("actions"), actions):
        raise UserError(f"{path} is of a game whose actions are not {game}'s {actions} numbers: "
                        "use the config it was trained with")
    return FrameNetwork(programs=arrays, side=settings.side, game=game,
                        seen=0 if settings.context == "serve" else settings.seen,
                        scores=settings.outcomes)


def load_contexts(run: Path) -> Context:
    """The beginnings of the episodes that a network's training held out.

    Raises:
        UserError: there are none.
    """
    arrays = load_npz(run / "forward" / "contexts.npz", ("frames", "actions", "serve"))
    return Context(arrays["frames"], arrays["actions"], arrays["serve"])
