"""V and M as a model of frames: V shows what M expects, beside networks that predict frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.contracts import (
    Context,
    ForwardModel,
    Predicted,
    Representation,
)

CALM = 0.1  # of M's temperature: a guess that is to be right, not a dream as uncertain as M is


@dataclass(frozen=True, kw_only=True)
class Pictured:
    """A :class:`FrameModel`.

    Attributes:
        vision: V.
        memory: M.
        game: as the registry names it.
        taken_actions: whether M sees actions as the game takes them.
        temperature: at which M's mixture is drawn from.
    """

    vision: Representation
    memory: ForwardModel
    game: str
    taken_actions: bool = False
    temperature: float = CALM

    @property
    def scores(self) -> bool:
        """Whether M has learnt endings or rewards."""
        return self.memory.scores

    def predictor(self, batch: int) -> PicturedPredictor:
        """Both at work, ``batch`` episodes at a time."""
        return PicturedPredictor(self, batch)


class PicturedPredictor:
    """A :class:`PredictsFrames`; its state is z and M's own, side by side."""

    def __init__(self, model: Pictured, batch: int):
        self._model, self._batch = model, batch
        self._encoder, self._decoder = model.vision.encoder(batch), model.vision.decoder(batch)
        self._dream = model.memory.dream(batch, model.temperature)
        self._told_actions = game_named(model.game).told(model.taken_actions)
        self._rng = np.random.default_rng(0)

    def start(self, context: Context) -> np.ndarray:
        """M follows the context's frames, as V sees them, and its actions."""
        follower = self._model.memory.follow(self._batch)
        for slot in range(self._batch):
            follower.reset(slot)
        z = self._see(context.frames[:, 0])
        for t, actions in enumerate(context.actions.swapaxes(0, 1), start=1):
            follower.step(z, self._told_actions(actions))
            z = self._see(context.frames[:, t])
        return np.concatenate([z, *(follower.state[name] for name in sorted(follower.state))], 1)

    def step(self, state: np.ndarray, actions: np.ndarray) -> Predicted:
        """One draw of M's mixture for each, decoded by V."""
        dream, z = self._dream, self._model.vision.size
        names = sorted(dream.state)
        for row in range(self._batch):
            column, parts = z, {}
            for name in names:
                size = self._model.memory.sizes[name]
                parts[name] = state[row, column:column + size]
                column += size
            dream.resume(row, state[row, :z], parts)
        shape = (self._batch, z)
        dream.step(self._told_actions(actions), self._rng.random(shape, np.float32),
                   self._rng.standard_normal(shape, np.float32))
        frames = self._decoder.decode(np.ascontiguousarray(dream.z[:self._batch]))
        after = [dream.z, *(dream.state[name] for name in names)]
        return Predicted(frames.astype(np.float32) / 255.0, self._told(dream.reward),
                         self._told(dream.done),
                         np.concatenate([part[:self._batch] for part in after], axis=1))

    def _see(self, frames: np.ndarray) -> np.ndarray:
        return self._encoder.encode(np.ascontiguousarray(frames))[0].copy()

    def _told(self, column: np.ndarray | None) -> np.ndarray:
        return np.zeros(self._batch) if column is None else column[:self._batch].copy()
