"""V, M and C as policies: C on features, and all three on frames."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.data.stacks import Stacks
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.seeds import generator
from worldmodels_repro.worlds.agent import Agent, Body, Senses, Spread
from worldmodels_repro.worlds.episodes import Policy


class Controllers:
    """C in a world of features: each episode has a controller of its own, or they take turns.

    Args:
        body: whose C.
        weights: (E, n), one controller a row.
        slots: B.
    """

    def __init__(self, body: Body, weights: np.ndarray, slots: int):
        self._shape, self._acts = body.shape, body.acts
        self._mirrored = game_named(body.game).mirrored if body.mirror else None
        self._weights = weights
        self._at_the_wheel = np.zeros((slots, self._shape.weights), np.float32)

    def reset(self, slot: int, seed: int, episode: int) -> None:
        """An episode begins in a slot."""
        self._at_the_wheel[slot] = self._weights[episode % len(self._weights)]

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Features (B, F) -> actions (B, A)."""
        if self._mirrored is None:
            return self._acts(self._shape.act(self._at_the_wheel, observations))
        here, there = (self._acts(self._shape.act(self._at_the_wheel, half))
                       for half in np.split(observations, 2, axis=1))
        return (here + self._mirrored(there)) / 2


class Candidates(Controllers):
    """Each episode's C is one that CMA-ES might have asked for next, by the episode's seed.

    What a search tries is where a dream must hold: it finds what is wrong there.

    Args:
        body: whose C.
        spread: where the search had come to.
        slots: B.
    """

    def __init__(self, body: Body, spread: Spread, slots: int):
        super().__init__(body, spread.mean[None], slots)
        self._spread = spread

    def reset(self, slot: int, seed: int, episode: int) -> None:
        """An episode begins in a slot."""
        normal = generator(seed, 1).standard_normal(len(self._spread.mean))
        self._at_the_wheel[slot] = self._spread.candidates(normal)


class SeeingAgent:
    """V, M and C in a world of frames, with noise on its actions if asked.

    Args:
        agent: V, M and C; with a ``spread``, each episode's C is a draw from that.
        slots: B.
        most_noise: each episode's actions have noise of a standard deviation that is uniform from
            0 to this; None is none. It is an Ornstein-Uhlenbeck walk: errors that last a while,
            so that V and M see how the agent gets out of them.
    """

    def __init__(self, agent: Agent, slots: int = 1, most_noise: float | None = None):
        assert agent.body.vision is not None  # on_sight chooses
        self._game = game_named(agent.body.game)
        self._senses = Senses(agent.body, slots)
        self._controllers = (Controllers(agent.body, agent.weights[None], slots)
                             if agent.spread is None
                             else Candidates(agent.body, agent.spread, slots))
        self._most, self._scales = most_noise, np.zeros(slots)
        self._rngs = [generator(0)] * slots
        self._live = np.zeros(slots, bool)
        self._noise = np.zeros((slots, agent.body.vision.size), np.float32)
        self._drift = np.zeros((slots, self._game.actions))

    def reset(self, slot: int, seed: int, episode: int) -> None:
        """An episode begins in a slot."""
        self._rngs[slot], self._live[slot] = generator(seed), True
        self._scales[slot] = (0.0 if self._most is None
                              else self._rngs[slot].uniform(0.0, self._most))
        self._drift[slot] = 0.0
        self._senses.forget(slot)
        self._controllers.reset(slot, seed, episode)

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Frames (B, 64, 64, 3) uint8 -> actions (B, A)."""
        live = np.flatnonzero(self._live)
        for slot in live:
            self._rngs[slot].standard_normal(dtype=np.float32, out=self._noise[slot])
        actions = self._controllers.act(self._senses.see(observations, self._noise, live))
        self._disturb(actions, live)
        self._senses.remember(actions)
        return actions

    def _disturb(self, actions: np.ndarray, live: np.ndarray) -> None:
        """Noise on the actions (B, A) of the slots that are live, in place."""
        for slot in live[self._scales[live] > 0]:
            self._drift[slot] = 0.95 * self._drift[slot] + (
                self._scales[slot] * np.sqrt(1 - 0.95**2)
                * self._rngs[slot].standard_normal(actions.shape[1]))
            noisy = np.clip(actions[slot] + self._drift[slot], self._game.low, self._game.high)
            actions[slot] = noisy.astype(np.float32)


class Interrupted(SeeingAgent):
    """An agent whose driving is interrupted: some of its numbers are uniform, and held for a while.

    What an agent does tells what it sees: an M that has only met drivers who turn left where the
    road does takes a turn to the left for a bend, and dreams of one. Interruptions tell what an
    action does, whatever lies ahead.

    Args:
        agent: V, M and C.
        held: the fewest and the most steps that an interruption lasts; then the agent drives for up
            to twice the most.
    """

    def __init__(self, agent: Agent, held: tuple[int, int]):
        super().__init__(agent)
        self._held, self._left = held, 0
        self._taken = np.zeros(self._game.actions, bool)  # which numbers are not the agent's
        self._action = self._game.low.astype(np.float32)

    def reset(self, slot: int, seed: int, episode: int) -> None:
        """An episode begins; the agent drives at first."""
        super().reset(slot, seed, episode)
        self._drives(self._rngs[slot])

    def _drives(self, rng: np.random.Generator) -> None:
        self._taken[:], self._left = False, int(rng.integers(1, 2 * self._held[1] + 1))

    def _disturb(self, actions: np.ndarray, live: np.ndarray) -> None:
        rng = self._rngs[0]
        if self._left == 0 and self._taken.any():
            self._drives(rng)
        elif self._left == 0:
            self._left = int(rng.integers(self._held[0], self._held[1] + 1))
            self._taken[:] = rng.random(len(self._taken)) < 0.5
            self._taken[rng.integers(len(self._taken))] = True
            self._action = rng.uniform(self._game.low, self._game.high).astype(np.float32)
        self._left -= 1
        actions[0, self._taken] = self._action[self._taken]


class StackingAgent:
    """C in a world of frames, where it sees stacks of them and no V does.

    Args:
        agent: with a ``sight``.
        slots: B.
    """

    def __init__(self, agent: Agent, slots: int = 1):
        assert agent.body.sight is not None  # on_sight chooses
        self._body, self._skip = agent.body, agent.body.sight.skip
        self._stacks = Stacks(agent.body.sight, slots)
        self._controllers = Controllers(agent.body, agent.weights[None], slots)
        self._age = np.full(slots, -1)  # steps since the episode began
        self._actions = np.zeros((slots, game_named(agent.body.game).actions), np.float32)

    def reset(self, slot: int, seed: int, episode: int) -> None:
        """An episode begins in a slot."""
        self._age[slot] = -1
        self._controllers.reset(slot, seed, episode)

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Frames (B, 64, 64, 3) uint8 -> actions (B, A); between looks the one before again."""
        self._age += 1
        looking = np.flatnonzero(self._age % self._skip == 0)
        for slot in map(int, looking):
            look = self._stacks.begin if self._age[slot] == 0 else self._stacks.go_on
            look(slot, observations[slot])
        if len(looking):
            actions = self._controllers.act(self._body.encode(self._stacks.seen))
            self._actions[looking] = actions[looking]
        return self._actions.copy()


def on_sight(agent: Agent, slots: int = 1) -> Policy:
    """The agent in the real game: on its frames, or where C needs none on its states."""
    if agent.body.sight is not None:
        return StackingAgent(agent, slots)
    if agent.body.vision is None:
        return Controllers(agent.body, agent.weights[None], slots)
    return SeeingAgent(agent, slots)
