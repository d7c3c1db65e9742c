"""A network that predicts frames, to look at: beside the game, in parts, or moved by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.contracts import Context
from worldmodels_repro.models.forward.predictor import FrameNetwork
from worldmodels_repro.seeds import generator
from worldmodels_repro.worlds.episodes import Policy
from worldmodels_repro.worlds.forward import ARROW, ForwardDream, moved_parts, shown

MOVE = 0.05  # of a state's number, a step
LAP = 80  # steps in which a number goes up by 1, down by 2 and back
SWEPT = 6  # numbers that are moved one after another where no person does
BATCH = 64  # states at once, to see which numbers matter


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

    @property
    def predicting(self) -> bool:
        """Whether the prediction is the network's already."""
        return len(self._frames) > self._waiting

    def _look(self) -> None:
        """Begin to predict, if enough has been seen."""
        if len(self._frames) == self._waiting:
            actions = np.array(self._actions, np.float32).reshape(1, -1, self._numbers)
            self._state = self._predictor.start(
                Context(np.stack(self._frames)[None], actions, self._serve[None]))


class PartsScene(ForwardScene):
    """The same, and the parts that the network puts its frames together of, each where it is."""

    def panels(self) -> dict[str, np.ndarray]:
        """Frames (64, 64, 3) uint8: the game's, the network's, and its parts, titled with how far
        each is moved, right and down in the network's pixels."""
        panels = super().panels()
        del panels["difference"]
        if self._state is not None and self.predicting:
            shifts, pictures = self._predictor.parts(self._state)
            for number, (shift, part) in enumerate(zip(
                    shifts[0], moved_parts(shifts[0], pictures[0]), strict=True), 1):
                panels[f"asset {number}: {shift[0]:+.1f}, {shift[1]:+.1f}"] = part
        return panels


class StateScene:
    """A network's state, moved number by number, and the frame that it leads to: no game.

    The state is what an episode's beginning leads to. Its numbers stand in the order of how much
    the frame depends on them. Actions are those of :func:`by_hand`.

    Args:
        dream: the network, and how episodes begin.
        seed: of the beginning.
        swept: so many numbers are moved up, down and back by themselves, and then it is over; None:
            a person moves them.
    """

    def __init__(self, dream: ForwardDream, seed: int, swept: int | None):
        game, starts = game_named(dream.game), len(dream.contexts.frames)
        start = int(generator(seed).integers(starts))
        self._predictor = dream.network.predictor(1)
        self._state = self._predictor.start(dream.contexts[start:start + 1])
        self._idle = np.clip(np.zeros((1, game.actions), np.float32), game.low, game.high)
        self._order = self._by_influence(dream)
        self._place, self._swept = 0, swept
        self.score, self.steps = 0.0, 0

    @property
    def chosen(self) -> int:
        """Which of the state's numbers is moved now."""
        return int(self._order[self._place])

    def act(self) -> np.ndarray:
        """The next move of a sweep: up, down past where it was, back; then the next number."""
        place = self.steps % LAP
        up = place < LAP // 4 or place >= LAP * 3 // 4
        return np.array([place == LAP - 1, 1.0 if up else -1.0, 0.0], np.float32)

    def step(self, action: np.ndarray) -> bool:
        """Move the chosen number, go on a step, choose another; whether all has been swept."""
        choose, move, go_on = (round(float(number)) for number in action)
        self._state[0, self.chosen] += MOVE * move
        if go_on > 0:
            self._state = self._predictor.step(self._state, self._idle).state
        self._place = (self._place + choose) % len(self._order)
        self.steps += 1
        return self._swept is not None and self.steps >= self._swept * LAP

    def panels(self) -> dict[str, np.ndarray]:
        """The frame that the state leads to, (64, 64, 3) uint8, and its numbers as a square: black
        is -1, white 1, and the one that is chosen is green."""
        after, numbers = self._predictor.step(self._state, self._idle), self._state[0]
        side = int(np.ceil(np.sqrt(len(numbers))))
        square = np.zeros((side * side, 3), np.uint8)
        square[:len(numbers)] = np.clip(127.5 * (1.0 + numbers), 0, 255).astype(np.uint8)[:, None]
        square[self.chosen] = ARROW
        title = f"number {self.chosen} of {len(numbers)}: {numbers[self.chosen]:+.2f}"
        return {"predicted": shown(after)[0], title: square.reshape(side, side, 3)}

    def close(self) -> None:
        """Nothing is open."""

    def _by_influence(self, dream: ForwardDream) -> np.ndarray:
        """The state's numbers, those first that move the frame the most."""
        size, frame = self._state.shape[1], self._predictor.step(self._state, self._idle).frames
        many = dream.network.predictor(BATCH)
        apart = np.zeros(-(-size // BATCH) * BATCH)
        for first in range(0, size, BATCH):
            states = self._state.repeat(BATCH, axis=0)
            rows = np.arange(min(BATCH, size - first))
            states[rows, first + rows] += 1.0
            after = many.step(states, self._idle.repeat(BATCH, axis=0))
            apart[first:first + BATCH] = np.square(after.frames - frame).sum(axis=(1, 2, 3))
        return np.argsort(-apart[:size], kind="stable")


def by_hand(game: Game) -> Game:
    """A game whose keys move a state: left and right choose a number of it, up and down move that,
    space lets the network go on a step."""
    return replace(game, low=np.full(3, -1.0, np.float32), high=np.ones(3, np.float32), fps=15,
                   keys={"left": (-1.0, 0.0, 0.0), "right": (1.0, 0.0, 0.0),
                         "down": (0.0, -1.0, 0.0), "up": (0.0, 1.0, 0.0),
                         "space": (0.0, 0.0, 1.0)})
