"""M as data: its named weights and what its inputs and outputs mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import Precision
from worldmodels_repro.models.mdn_rnn.cell import Recurrence
from worldmodels_repro.models.mdn_rnn.head import Head
from worldmodels_repro.models.mdn_rnn.imagination import Imagination
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.storage import Arrays

if TYPE_CHECKING:
    from worldmodels_repro.sections import Memory


@dataclass(frozen=True, kw_only=True)
class MdnRnn:
    """A :class:`ForwardModel`.

    Attributes:
        weights: ``lstm/*`` and, for dreams, ``mdn/*``.
        z: latent dimensions.
        done, reward: M's heads.
        restart_input: whether M's input ends with 'this step is an episode's first'.
    """

    weights: Arrays
    z: int
    done: bool = False
    reward: bool = False
    restart_input: bool = False

    @property
    def sizes(self) -> dict[str, int]:
        """Numbers in each thing that C may see."""
        units = len(self.weights["lstm/recurrent_kernel"])
        return {"z": self.z, "h": units, "c": units}

    @property
    def scores(self) -> bool:
        """Whether M has learnt endings or rewards."""
        return self.done or self.reward

    @cached_property
    def head(self) -> Head:
        """What the outputs are.

        Raises:
            ValueError: the weights do not fit the heads.
        """
        return Head.of(len(self.weights["mdn/bias"]), self.z, self.done, self.reward)

    def only_recurrence(self) -> MdnRnn:
        """What a worker needs beside the game: the LSTM."""
        return MdnRnn(weights={name: array for name, array in self.weights.items()
                               if name.startswith("lstm/")},
                      z=self.z, done=self.done, reward=self.reward,
                      restart_input=self.restart_input)

    def untrained(self, seed: int) -> MdnRnn:
        """An M that never learned, for the ablation: Glorot uniform kernels, forget bias 1."""
        rng = np.random.default_rng(seed)
        fresh = {}
        for name, array in self.weights.items():
            if array.ndim == 2:
                limit = np.sqrt(6.0 / sum(array.shape))
                fresh[name] = rng.uniform(-limit, limit, array.shape).astype(np.float32)
            else:
                fresh[name] = np.zeros_like(array)
        units = self.sizes["h"]
        fresh["lstm/bias"][units:2 * units] = 1.0
        return MdnRnn(weights=fresh, z=self.z, done=self.done, reward=self.reward,
                      restart_input=self.restart_input)

    def follow(self, batch: int, precision: Precision = "f32") -> Beside:
        """M beside a game, ``batch`` episodes in lockstep."""
        return Beside(self, batch, precision)

    def dream(self, batch: int, temperature: float = 1.0, precision: Precision = "f32",
              dropout: float = 0.0, spread: float = 0.0) -> Imagination:
        """M on its own, ``batch`` dreams in lockstep."""
        return Imagination(self.weights, self.head, self.restart_input, batch, temperature,
                           precision, dropout, spread)


class Beside:
    """M beside a game: told z and actions, and of an episode's first step where it wants that.

    Attributes:
        state: ``h`` and ``c``, (B, units) each.
    """

    def __init__(self, memory: MdnRnn, batch: int, precision: Precision):
        self._recurrence = Recurrence(memory.weights, batch, precision)
        self.state = {"h": self._recurrence.h, "c": self._recurrence.c}
        self._restart = np.ones((batch, 1), np.float32) if memory.restart_input else None

    def reset(self, slot: int) -> None:
        """An episode begins in this slot: h_0 = c_0 = 0."""
        self._recurrence.reset(slot)
        if self._restart is not None:
            self._restart[slot] = 1.0

    def resume(self, slot: int, state: Mapping[str, np.ndarray]) -> None:
        """The episode in this slot goes on from h, c (units,): it does not begin there."""
        self._recurrence.put(slot, state["h"], state["c"])
        if self._restart is not None:
            self._restart[slot] = 0.0

    def step(self, z: np.ndarray, actions: np.ndarray) -> None:
        """(B, z) seen and (B, A) done: the state moves on."""
        if self._restart is None:
            self._recurrence.step(z, actions)
        else:
            self._recurrence.step(z, actions, self._restart)
            self._restart[:] = 0.0


def load_mdn_rnn(run: Path, settings: Memory, z: int, actions: int) -> MdnRnn:
    """M of a run folder.

    Args:
        run: the folder.
        settings: of M, as it was trained.
        z: V's latent dimensions.
        actions: numbers in an action of the game.

    Raises:
        UserError: there is none, or it is another M.
    """
    path = run / "memory" / "weights.npz"
    weights = load_weights(path)
    inputs, units = z + actions + settings.restart_input, settings.units
    head = Head(z=z, mixtures=settings.mixtures, done=settings.done, reward=settings.reward)
    shapes = {"lstm/kernel": (inputs, 4 * units), "lstm/recurrent_kernel": (units, 4 * units),
              "lstm/bias": (4 * units,)}
    if "mdn/kernel" in weights or "mdn/bias" in weights:  # for dreams
        shapes |= {"mdn/kernel": (units, head.outputs), "mdn/bias": (head.outputs,)}
    if any(name not in weights or weights[name].shape != shape
           for name, shape in shapes.items()):
        raise UserError(f"{path} is no M of {z} latents and {actions} actions: use the config it "
                        "was trained with")
    return MdnRnn(weights=weights, z=z, done=settings.done, reward=settings.reward,
                  restart_input=settings.restart_input)
