"""A game and a network's prediction of it, side by side: the same actions go to both."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.game import Game
from worldmodels_repro.models.contracts import Context
from worldmodels_repro.models.forward.predictor import FrameNetwork
from worldmodels_repro.worlds.episodes import Policy
from worldmodels_repro.worlds.forward import shown


class ForwardScene:
    """The true frame, the predicted one, and their difference; a :class:`watch.scene.Scene`.

    The network is shown the episode's first frames, which then stand in the prediction's place
    too; from there on it sees actions alone.

    Args:
        game: which.
        network: of that game.
        policy: acts on the game's frames, in one slot; None where a person does.
        seed: the episode's.
    """

    def __init__(self, game: Game, network: FrameNetwork, policy: Policy | None, seed: int):
        self._policy, self._most, self._numbers = policy, game.max_steps, game.actions
        self._predictor = network.predictor(1)
        self._waiting = max(network.seen, 1)  # frames until the context is whole
        self._serve = np.zeros(2, np.float32) if game.serve is None else game.serve(seed)
        self._env = game.make("original", render_mode="rgb_array")
        self._frames, self._actions = [self._env.reset(seed=seed)[0]], list[np.ndarray]()
        self._state: np.ndarray | None = None
        self._predicted = self._frames[0]
        if policy is not None:
            policy.reset(0, seed, 0)
        self.score, self.steps = 0.0, 0
        self._look()

    def act(self) -> np.ndarray:
        """What the policy does now, (A,)."""
        if self._policy is None:
            raise ValueError("a scene without a policy can't act")
        return self._policy.act(self._frames[-1][None])[0]

    def step(self, action: np.ndarray) -> bool:
        """Take an action in both; whether the game is over."""
        frame, reward, terminated, truncated, _ = self._env.step(action)
        self._frames.append(frame)
        self._actions.append(action)
        if self._state is None:
            self._predicted = frame
            self._look()
        else:
            after = self._predictor.step(self._state, action[None])
            self._state, self._predicted = after.state, shown(after)[0]
        self.score, self.steps = self.score + float(reward), self.steps + 1
        return terminated or truncated or self.steps >= self._most

    def panels(self) -> dict[str, np.ndarray]:
        """Frames (64, 64, 3) uint8: the game's, the network's, and how far apart they are."""
        true = self._frames[-1]
        apart = np.abs(true.astype(np.int16) - self._predicted).astype(np.uint8)
        return {"the game": true, "predicted": self._predicted, "difference": apart}

    def close(self) -> None:
        """Close the game."""
        self._env.close()

    def _look(self) -> None:
        """Begin to predict, if enough has been seen."""
        if len(self._frames) == self._waiting:
            actions = np.array(self._actions, np.float32).reshape(1, -1, self._numbers)
            self._state = self._predictor.start(
                Context(np.stack(self._frames)[None], actions, self._serve[None]))
