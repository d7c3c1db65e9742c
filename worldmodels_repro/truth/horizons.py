"""The bench of world models: how far off are a model's frames, so many steps ahead?

All models get the beginnings of the same held-out episodes and the actions that were taken, and
from there on only what they have drawn themselves. Beside them stand the last frame, held on to,
and the mean of all frames. Frames are compared at 32 by 32 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from worldmodels_repro.data.clips import shrunk
from worldmodels_repro.envs.game import Game
from worldmodels_repro.models.contracts import Context, FrameModel, Predicted
from worldmodels_repro.records import Horizon
from worldmodels_repro.worlds.episodes import Policy, play
from worldmodels_repro.worlds.frames import FramesWorld

HORIZONS = (1, 5, 10, 30, 60)
SEEN = 3  # frames that every model may see
SIDE = 32


@dataclass(frozen=True)
class HeldOut:
    """Episodes that no model was trained on, cut or padded to one length T.

    Attributes:
        frames: (E, T, 64, 64, 3) uint8.
        actions: (E, T, A).
        serve: (E, 2).
        lengths: (E,) frames that are there.
    """

    frames: np.ndarray
    actions: np.ndarray
    serve: np.ndarray
    lengths: np.ndarray

    def context(self) -> Context:
        """How they begin."""
        return Context(self.frames[:, :SEEN], self.actions[:, :SEEN - 1], self.serve)


def held_out(game: Game, policy: Policy, seeds: list[int], horizon: int) -> HeldOut:
    """Play an episode for each seed, as far as a prediction of so many steps needs."""
    world, most = FramesWorld(game, 1, "fast"), SEEN + horizon
    frames = np.zeros((len(seeds), most, 64, 64, 3), np.uint8)
    taken = np.zeros((len(seeds), most, game.actions), np.float32)
    lengths = np.zeros(len(seeds), int)
    number = 0

    def note(seen: np.ndarray, actions: np.ndarray, rewards: np.ndarray,
             dones: np.ndarray) -> None:
        t = lengths[number]
        frames[number, t], taken[number, t] = seen[0], actions[0]
        lengths[number] += 1

    for number, seed in enumerate(seeds):  # noqa: B007 (note uses it)
        play(world, policy, [seed], most, watch=note)
    told: Callable[[int], np.ndarray] = game.serve or (lambda seed: np.zeros(2, np.float32))
    return HeldOut(frames, taken, np.stack([told(seed) for seed in seeds]), lengths)


class Copied:
    """Holds on to the last frame: what any model should beat."""

    scores = False

    def predictor(self, batch: int) -> Copied:
        """Itself."""
        return self

    def start(self, context: Context) -> np.ndarray:
        """The last frame of each, (B, n)."""
        last = context.frames[:, -1].astype(np.float32) / 255.0
        return last.reshape(len(last), -1)

    def step(self, state: np.ndarray, actions: np.ndarray) -> Predicted:
        """It, again."""
        none = np.zeros(len(state))
        return Predicted(state.reshape(-1, 64, 64, 3), none, none, state)


class Mean(Copied):
    """Shows one frame for all: the mean of the episodes' own frames."""

    def __init__(self, episodes: HeldOut):
        there = np.arange(episodes.frames.shape[1]) < episodes.lengths[:, None]
        self._frame = episodes.frames[there].mean(axis=0, dtype=np.float64).astype(np.float32)

    def start(self, context: Context) -> np.ndarray:
        """That frame for each, (B, n)."""
        return np.tile(self._frame.reshape(1, -1) / 255.0, (len(context.frames), 1))


def predicted(model: FrameModel, episodes: HeldOut, horizon: int) -> np.ndarray:
    """What a model draws for the steps after the context, (E, horizon, 32, 32, 3) in [0, 1]."""
    predictor = model.predictor(len(episodes.frames))
    state, frames = predictor.start(episodes.context()), []
    for t in range(SEEN - 1, SEEN - 1 + horizon):
        step = predictor.step(state, episodes.actions[:, t])
        state = step.state
        frames.append(_small(step.frames))
    return np.stack(frames, axis=1)


def bench(game: Game, models: Mapping[str, FrameModel], episodes: HeldOut,
          horizons: Sequence[int] = HORIZONS) -> list[Horizon]:
    """A row for each model and horizon that an episode reaches; copying and the mean come last.

    Args:
        game: whose episodes they are.
        models: by name.
        episodes: at least ``SEEN`` frames and one more of each.
        horizons: steps after the context's last frame.
    """
    rows: list[Horizon] = []
    true = shrunk(episodes.frames, SIDE).astype(np.float32) / 255.0
    for name, model in [*models.items(), ("last frame", Copied()), ("mean frame", Mean(episodes))]:
        drawn = predicted(model, episodes, max(horizons))
        for horizon in horizons:
            at = SEEN - 1 + horizon
            there = np.flatnonzero(episodes.lengths > at)
            if not len(there):
                continue
            ours, theirs = drawn[there, horizon - 1], true[there, at]
            errors = np.square(ours - theirs).mean(axis=(1, 2, 3))
            place = None
            if game.place is not None:
                apart = np.linalg.norm(game.place(ours) - game.place(theirs), axis=-1)
                place = round(float(apart.mean()), 3)
            rows.append({"model": name, "horizon": horizon, "episodes": len(there),
                         "mse": round(float(errors.mean()), 7),
                         "std": round(float(errors.std()), 7), "place": place})
    return rows


def _small(frames: np.ndarray) -> np.ndarray:
    """Frames (B, S, S, 3) in [0, 1] at 32 by 32."""
    block = frames.shape[1] // SIDE
    tiles = frames.reshape(len(frames), SIDE, block, SIDE, block, 3)
    return np.asarray(tiles.mean(axis=(2, 4)))
