"""Who plays while V and M gather what the world looks like (appendix A.1: "random rollouts").

Each acts for one episode, and is made fresh for the next; :class:`policies.policy.EachEpisode`
makes a :class:`Policy` of them.
"""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.game import Game
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.models.mdn_rnn.cell import Recurrence
from worldmodels_repro.models.vae.layers import Conv, Layers
from worldmodels_repro.models.vae.programs import Encoder


class UniformlyRandom:
    """A uniform action at every step: the player that agents are compared with."""

    def __init__(self, game: Game, rng: np.random.Generator):
        self._game, self._rng = game, rng

    def act(self, frame: np.ndarray) -> np.ndarray:
        """One action (A,), whatever the frame."""
        return self._game.random_action(self._rng)


class Held:
    """A uniform action, held for a uniform number of steps."""

    def __init__(self, game: Game, rng: np.random.Generator, steps: tuple[int, int]):
        self._game, self._rng, self._steps = game, rng, steps
        self._left = 0
        self._action = game.low

    def act(self, frame: np.ndarray) -> np.ndarray:
        """Draw an action when the last one is spent."""
        if self._left == 0:
            self._left = int(self._rng.integers(self._steps[0], self._steps[1] + 1))
            self._action = self._rng.uniform(self._game.low, self._game.high).astype(np.float32)
        self._left -= 1
        return self._action


class Brownian:
    """a += sqrt(dt) N(0, 1), clipped to the game's ranges: smooth, and it goes places."""

    def __init__(self, game: Game, rng: np.random.Generator, dt: float):
        self._game, self._rng, self._scale = game, rng, np.sqrt(dt)
        self._action = rng.uniform(game.low, game.high)

    def act(self, frame: np.ndarray) -> np.ndarray:
        """One more step of the walk."""
        step = self._scale * self._rng.standard_normal(self._game.actions)
        self._action = np.clip(self._action + step, self._game.low, self._game.high)
        return self._action.astype(np.float32)


class RandomNetwork:
    """A fresh V, M and C with heavy-tailed random weights, as in the released code.

    Steps of uniform noise barely move the car; a network with Cauchy weights has habits (it
    may turn left for a whole episode) that still depend on what it sees.
    """

    # A quarter of the trained V's filters and of M's units: what they make of a frame is noise all
    # the same, and a step takes half the time (docs/notes/tries.md).
    _LAYERS = Layers(encoder=(Conv(8, 4), Conv(16, 4), Conv(32, 4), Conv(64, 4)))
    _UNITS = 64

    def __init__(self, game: Game, rng: np.random.Generator, z: int = 32):
        self._rng, self._game = rng, game
        weights = {name: _cauchy(rng, shape) if name.endswith("/kernel")
                   else np.zeros(shape, np.float32)
                   for name, shape in self._LAYERS.shapes(z).items() if name.startswith("encoder/")}
        self._encoder = Encoder(weights, batch=1, layers=self._LAYERS)
        units = self._UNITS
        self._memory = Recurrence({
            "lstm/kernel": _cauchy(rng, (z + game.actions, 4 * units)),
            "lstm/recurrent_kernel": _cauchy(rng, (units, 4 * units)),
            "lstm/bias": np.zeros(4 * units, np.float32),
        }, batch=1)
        self._shape = ControllerShape(z + units, game.actions)
        scale = rng.uniform(0.0, 0.1)
        self._weights = (scale * rng.standard_cauchy((1, self._shape.weights))).astype(np.float32)

    def act(self, frame: np.ndarray) -> np.ndarray:
        """z ~ N(tanh(V(frame)), 1), then C on [z, h], then M."""
        mu = np.tanh(self._encoder.encode(frame[None])[0])  # (1, z): bounded, whatever Cauchy drew
        z = mu + self._rng.standard_normal(mu.shape, np.float32)
        features = np.concatenate([z, self._memory.h], axis=1)
        action = self._game.act(self._shape.act(self._weights, features))
        self._memory.step(z, action)
        return action[0]


def _cauchy(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.standard_cauchy(shape) / np.prod(shape[:-1])).astype(np.float32)
