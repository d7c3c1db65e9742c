"""An episode to look at, of the game or of a dream: acted by an agent, or by who sits before it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.contracts import Representation
from worldmodels_repro.worlds.dream import Dream, DreamWorld
from worldmodels_repro.worlds.episodes import Policy


class Scene(Protocol):
    """One episode, step by step.

    Attributes:
        score: the rewards so far.
        steps: taken so far.
    """

    score: float
    steps: int

    def act(self) -> np.ndarray:
        """What the agent does now, (A,)."""

    def step(self, action: np.ndarray) -> bool:
        """Take an action; whether the episode is over."""

    def panels(self) -> dict[str, np.ndarray]:
        """What there is to see now: title -> picture (h, w, 3) uint8."""

    def close(self) -> None:
        """Leave."""


class GameScene:
    """The unmodified game, what V sees of it, and what V makes of that.

    Args:
        game: which.
        vision: V; None where there is none.
        policy: acts on frames or states, in one slot; None where a person does.
        seed: the episode's: its track.
        max_steps: the episode is cut after so many steps.
        states: whether the policy acts on the game's states.
    """

    def __init__(self, game: Game, vision: Representation | None, policy: Policy | None, seed: int,
                 max_steps: int, states: bool = False):
        self._policy, self._most, self._vision = policy, max_steps, vision
        self._states = states
        self._env = (game.make_states("rgb_array") if states
                     else game.make("original", render_mode="rgb_array"))
        if vision is not None:
            self._encoder, self._decoder = vision.encoder(1), vision.decoder(1)
        self._seen = self._env.reset(seed=seed)[0]
        if policy is not None:
            policy.reset(0, seed, 0)
        self.score, self.steps = 0.0, 0

    def act(self) -> np.ndarray:
        """What the policy does now, (A,)."""
        if self._policy is None:
            raise ValueError("a scene without a policy can't act")
        return self._policy.act(self._seen[None])[0]

    def step(self, action: np.ndarray) -> bool:
        """Take an action; whether the episode is over."""
        self._seen, reward, terminated, truncated, _ = self._env.step(action)
        self.score, self.steps = self.score + float(reward), self.steps + 1
        return terminated or truncated or self.steps >= self._most

    def panels(self) -> dict[str, np.ndarray]:
        """The game as people see it, the frame that is seen, and V's reconstruction of it, uint8;
        the latter two where there are such."""
        game = {"the game": np.asarray(self._env.render())}
        if self._states:
            return game
        if self._vision is None:
            return {**game, "what C sees": self._seen}
        mu, _ = self._encoder.encode(self._seen[None])
        again = self._decoder.decode(mu.copy())[0].copy()
        return {**game, "what V sees": self._seen, "V's reconstruction": again}

    def close(self) -> None:
        """Close the game."""
        self._env.close()


class DreamScene:
    """A dream, as V's decoder draws it.

    Args:
        dream: M and its starts.
        vision: V.
        policy: acts on features, in one slot; None where a person does.
        seed: the dream's.
    """

    def __init__(self, dream: Dream, vision: Representation, policy: Policy | None, seed: int):
        self._world, self._policy = DreamWorld(dream, 1), policy
        self._title = f"M's dream at temperature {dream.temperature:g}"
        self._most = game_named(dream.game).max_steps
        self._decoder = vision.decoder(1)
        self._world.reset(0, seed)
        if policy is not None:
            policy.reset(0, seed, 0)
        self.score, self.steps = 0.0, 0

    def act(self) -> np.ndarray:
        """What the policy does now, (A,)."""
        if self._policy is None:
            raise ValueError("a scene without a policy can't act")
        return self._policy.act(self._world.features())[0]

    def step(self, action: np.ndarray) -> bool:
        """Take an action; whether M ended the episode, or its time is up."""
        rewards, ended = self._world.advance(action[None])
        self.score, self.steps = self.score + float(rewards[0]), self.steps + 1
        return bool(ended[0]) or self.steps >= self._most

    def panels(self) -> dict[str, np.ndarray]:
        """z as V decodes it, (64, 64, 3) uint8."""
        return {self._title: self._decoder.decode(self._world.latents())[0].copy()}

    def close(self) -> None:
        """Nothing is open."""
