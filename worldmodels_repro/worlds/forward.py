"""A network that predicts frames as a world: it stands where the games do, under V, M and C."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.frame import FRAME, SIDE
from worldmodels_repro.models.contracts import Context, FrameModel, Predicted
from worldmodels_repro.models.forward.predictor import load_contexts, load_frame_network
from worldmodels_repro.seeds import generator

if TYPE_CHECKING:
    from worldmodels_repro.config import Config  # workers need no settings

ARROW = (0, 158, 115)  # a green that no game has


@dataclass(frozen=True, kw_only=True)
class ForwardDream:
    """A game as a network has seen it, as data.

    Attributes:
        game: as the registry names it: what actions are, and how long an episode may last.
        network: what comes next.
        contexts: how episodes begin.
    """

    game: str
    network: FrameModel
    contexts: Context


def load_forward_dream(run: Path, config: Config) -> ForwardDream:
    """The network of a run folder, and the beginnings of the episodes that it was not trained on.

    Raises:
        UserError: a file is missing or does not fit.
    """
    return ForwardDream(game=config.game, contexts=load_contexts(run),
                        network=load_frame_network(run, config.forward, config.game))


class ForwardWorld:
    """B episodes in lockstep that a network predicts: frames (B, 64, 64, 3) uint8.

    An episode begins where a context ends, by its seed, and is the network's alone from there on.
    Rewards and endings are the network's too; of one that has learnt none, the reward is 1 a step.
    An episode is cut with the longest that the game allows.

    Args:
        dream: the network, and the contexts.
        slots: B.

    Attributes:
        live: (B,) whether an episode is played in a slot.
        terminated: (B,) whether the last step ended an episode (rather than its time).
    """

    def __init__(self, dream: ForwardDream, slots: int):
        self.slots = slots
        network, contexts = dream.network, dream.contexts
        one = network.predictor(1)
        self._starts = np.concatenate([one.start(contexts[k:k + 1])
                                       for k in range(len(contexts.frames))])
        self._first = contexts.frames[:, -1]
        self._predictor, self._scores = network.predictor(slots), network.scores
        self._most = game_named(dream.game).max_steps
        self._states = np.zeros((slots, self._starts.shape[1]), np.float32)
        self._seen, self._age = np.zeros((slots, *FRAME), np.uint8), np.zeros(slots, int)
        self.live, self.terminated = np.zeros(slots, bool), np.zeros(slots, bool)
        self._rewards, self._dones = np.zeros(slots), np.zeros(slots, bool)

    def reset(self, slot: int, seed: int) -> None:
        """Begin the episode of this seed."""
        start = int(generator(seed).integers(len(self._starts)))
        self._states[slot], self._seen[slot] = self._starts[start], self._first[start]
        self._age[slot], self.live[slot] = 0, True

    def rest(self, slot: int) -> None:
        """Nothing more to play in this slot."""
        self.live[slot] = False

    def features(self) -> np.ndarray:
        """Frames as they are now, (B, 64, 64, 3); the array is reused by the next step."""
        return self._seen

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Actions (B, A) -> rewards (B,) and whether each episode ended (B,)."""
        live = np.flatnonzero(self.live)
        after = self._predictor.step(self._states, actions)
        self._states[live], self._seen[live] = after.state[live], shown(after)[live]
        self._age[live] += 1
        self._rewards[live] = after.rewards[live] if self._scores else 1.0
        self.terminated[live] = (after.endings[live] > 0) & self._scores
        self._dones[live] = self.terminated[live] | (self._age[live] >= self._most)
        return self._rewards, self._dones


def shown(step: Predicted) -> np.ndarray:
    """What is predicted as V's frames, (B, 64, 64, 3) uint8."""
    return as_seen(step.frames)


def moved_parts(shifts: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Parts as :meth:`models.forward.predictor.Predictor.parts` gives those of one frame, each with
    an arrow from the middle, as long as the part was moved: (k, 64, 64, 3) uint8.

    Args:
        shifts: (k, 2).
        pictures: (k, S, S, 3).
    """
    drawn, middle = as_seen(pictures), SIDE // 2
    for picture, shift in zip(drawn, shifts * (SIDE / pictures.shape[1]), strict=True):
        tip = np.round(middle + np.clip(shift, -SIDE, SIDE)).astype(int)
        cv2.arrowedLine(picture, (middle, middle), (int(tip[0]), int(tip[1])), ARROW)
    return drawn


def as_seen(frames: np.ndarray) -> np.ndarray:
    """Frames (B, S, S, 3) in [0, 1] as V's, (B, 64, 64, 3) uint8: smaller ones are drawn larger."""
    times = SIDE // frames.shape[1]
    bytes_ = (frames * 255.0).round().astype(np.uint8)
    return bytes_.repeat(times, axis=1).repeat(times, axis=2)
