"""What a V and an M must be for the rest to use them; a row of ``models/registry.py`` names each.

B is how many episodes go in lockstep, A the numbers in an action.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

Precision = Literal["f32", "bf16", "int8"]


class SeesFrames(Protocol):
    """V's encoder for a fixed batch."""

    def encode(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, 64, 64, 3) uint8 -> the posterior's mean and log variance, (B, z) float32 each."""


class ShowsLatents(Protocol):
    """V's decoder for a fixed batch."""

    def decode(self, z: np.ndarray) -> np.ndarray:
        """(B, z) float32 -> (B, 64, 64, 3) uint8."""


class Representation(Protocol):
    """V as data: it travels to workers, and makes what they use."""

    @property
    def size(self) -> int:
        """z, the latent dimensions."""

    def encoder(self, batch: int, precision: Precision = "f32") -> SeesFrames:
        """Frames in, posteriors out, ``batch`` at a time."""

    def decoder(self, batch: int) -> ShowsLatents:
        """Latents in, frames out, ``batch`` at a time."""


class Follows(Protocol):
    """M beside a game: it is told what V saw and what C did, and C sees its state."""

    @property
    def state(self) -> Mapping[str, np.ndarray]:
        """What C may see beside z, by name (``h``, ``c``): (B, n) each, always the same arrays."""

    def reset(self, slot: int) -> None:
        """An episode begins in this slot."""

    def step(self, z: np.ndarray, actions: np.ndarray) -> None:
        """(B, z) seen and (B, A) done: the state moves on."""


class Dreams(Protocol):
    """M on its own: B dreams in lockstep, a row each; those that live have the first rows."""

    @property
    def z(self) -> np.ndarray:
        """(B, z) what comes next; always the same array, as the others are."""

    @property
    def state(self) -> Mapping[str, np.ndarray]:
        """What C may see beside it, by name: (B, n) each."""

    @property
    def done(self) -> np.ndarray | None:
        """(B,) logits of 'the episode ended with the last step'; None where M can't tell."""

    @property
    def reward(self) -> np.ndarray | None:
        """(B,) of the last step; None where M can't tell."""

    def wake(self, row: int, z: np.ndarray, rng: np.random.Generator) -> None:
        """An episode begins in this row, at z (z,); what is drawn once a dream is drawn of rng."""

    def resume(self, row: int, z: np.ndarray, state: Mapping[str, np.ndarray]) -> None:
        """The dream in this row goes on from z (z,) and this state: no episode begins there."""

    def move(self, source: int, target: int) -> None:
        """The dream of one row goes on in another."""

    def step(self, actions: np.ndarray, uniforms: np.ndarray, normals: np.ndarray) -> None:
        """Advance the first n rows by actions (n, A) and draws (n, z), uniform and normal."""


@dataclass(frozen=True)
class Context:
    """What is known of B episodes before their frames are predicted.

    Attributes:
        frames: (B, K, 64, 64, 3) uint8; the last is the one now.
        actions: (B, K - 1, A), taken between them.
        serve: (B, 2), what the game's serve tells of them; zeros where it tells nothing. For those
            who use it the first of the frames is the episode's first.
    """

    frames: np.ndarray
    actions: np.ndarray
    serve: np.ndarray

    def __getitem__(self, rows: Any) -> Context:
        """The same of some episodes."""
        return Context(self.frames[rows], self.actions[rows], self.serve[rows])


class Predicted(NamedTuple):
    """What one step leads to: all that a row of a state is must be in it.

    Attributes:
        frames: (B, S, S, 3) float32 in [0, 1].
        rewards: (B,) of the step.
        endings: (B,) logits of 'the episode ends with this step'.
        state: (B, n) float32.
    """

    frames: np.ndarray
    rewards: np.ndarray
    endings: np.ndarray
    state: np.ndarray


class PredictsFrames(Protocol):
    """A model of frames at work on B episodes in lockstep."""

    def start(self, context: Context) -> np.ndarray:
        """The state (B, n) from which the frame after the context's last is predicted."""

    def step(self, state: np.ndarray, actions: np.ndarray) -> Predicted:
        """State (B, n) and actions (B, A) in the game's ranges -> what comes next."""


class FrameModel(Protocol):
    """A model of the world in frames, as data: a forward model without a picture of its own for C.

    V and M together are one (``models/pictured.py``), and so are networks that predict frames.
    """

    @property
    def scores(self) -> bool:
        """Whether it has learnt endings and rewards; where not, those it gives mean nothing."""

    def predictor(self, batch: int) -> PredictsFrames:
        """It at work, ``batch`` episodes at a time."""


class ForwardModel(Protocol):
    """M as data: it travels to workers, and makes what they use."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Numbers in each thing that C may see: ``z``, and the names of ``state``."""

    @property
    def scores(self) -> bool:
        """Whether it has learnt endings or rewards: a dream of neither has no score."""

    def follow(self, batch: int, precision: Precision = "f32") -> Follows:
        """M beside a game, ``batch`` episodes in lockstep."""

    def dream(self, batch: int, temperature: float, precision: Precision = "f32",
              dropout: float = 0.0, spread: float = 0.0) -> Dreams:
        """M on its own, ``batch`` dreams in lockstep; each may lack a share of M, and have a
        temperature of its own, uniform within this share of what is given."""
