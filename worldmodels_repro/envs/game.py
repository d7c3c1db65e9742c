"""A game: all that a stage must know of one. Stages and worlds never ask which they are in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import cv2
import gymnasium
import numpy as np

from worldmodels_repro.envs.changed import PICTURES, Change
from worldmodels_repro.envs.guard import Guard
from worldmodels_repro.envs.repeated import Repeated
from worldmodels_repro.errors import UserError, did_you_mean
from worldmodels_repro.frame import FRAME, SIDE

if TYPE_CHECKING:
    from worldmodels_repro.envs.detector_maps import Maps

Renderer = Literal["fast", "original"]

Frames = gymnasium.Env[np.ndarray, np.ndarray]
"""An environment of frames (64, 64, 3) uint8 and actions (A,) float32."""


@dataclass(frozen=True, kw_only=True)
class Game:
    """One game. ``name``, ``judge_id``, ``low``, ``high`` and ``solved`` have no default.

    Attributes:
        name: as configs write it.
        judge_id: the unmodified environment that scores are reported on, as ``gymnasium.make``
            knows it.
        settings: what ``gymnasium.make`` is told of it beside that.
        fast_id: the same dynamics as frames, in less time; None where there is no such thing.
        frames: the judge's environment -> one that shows V's frames, (64, 64, 3) uint8, and takes
            the game's actions, (A,) float32. By default the observation is the picture, resized.
        require: refuses what is installed where the game can't be played with it (UserError).
        first_action: what the first number of an action is called.
        other_actions: and those after it; by default the keys that move them.
        low, high: (A,) the range of each number of an action.
        squash: C's tanh outputs (B, A) -> actions in range, row by row; by default stretched.
        taken: actions (..., A) -> one for all that the game does not tell apart.
        mirrored: actions (..., A) -> what they are in the game's mirror image; None where left and
            right are not alike.
        landmarks: an environment of frames that also says where the things are that C must see,
            for the V-audit; None where the game does not tell.
        changes: worlds to judge an agent in that it does not know, by name: what each makes of the
            judge's environment.
        changed: the name of the change that this game has; none for the game as it is.
        state: S, the numbers in the judge's observation where that is the game's state, not a
            picture; 0 where it is a picture.
        choices: (n, A) the actions that a player of choices picks from; None where there are none.
            The identity says that the game itself is one of choices: the largest number chooses.
        maps: () -> the maps that it is played on, where windows of them can be told apart; None
            where there are none.
        joint: (m, w, c) where an action's last c numbers say which of c classes a thing is: of the
            state the first m numbers are for who moves, then come w of the thing and the c classes'
            truth; None where nothing is told apart.
        solved: the score that counts as solved.
        milestones: scores on the way, whose price is worth knowing.
        max_steps: the longest episode that is judged.
        scripted: who plays it by rule, to gather data: a generator of the episode's own and a share
            of random actions -> a player (``act(frame) -> action``); None where nobody does.
        place: frames (..., S, S, 3) -> (..., 2), x and y of the thing in them whose place says
            whether a prediction is right; None where there is no such thing.
        serve: an episode's seed -> (2,), what its first frame does not tell; None where there is
            nothing of that kind.
        keys: what each key adds to the action of a person who plays; none, and nobody can.
        fps: steps a second for those who watch or play.
        repeat: how often every action is done: a step of the game is so many of the environment's,
            and ``max_steps`` and ``fps`` count the game's.
        own: where the game is a user's, ``path/to/file.py:NAME``: its environments are guarded.
        hang_after: seconds after which a call of a user's game counts as hung; 0 never.
    """

    name: str
    judge_id: str
    low: np.ndarray
    high: np.ndarray
    solved: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    fast_id: str | None = None
    frames: Callable[[gymnasium.Env[Any, Any]], Frames] = lambda env: Seen(env)
    require: Callable[[Renderer], None] = lambda renderer: None
    first_action: str = "action"
    other_actions: tuple[str, ...] = ()
    squash: Callable[[np.ndarray], np.ndarray] | None = None
    taken: Callable[[np.ndarray], np.ndarray] = lambda actions: actions
    mirrored: Callable[[np.ndarray], np.ndarray] | None = None
    landmarks: Callable[[], Any] | None = None
    changes: Mapping[str, Change] = field(default_factory=lambda: PICTURES)
    changed: str = ""
    state: int = 0
    choices: np.ndarray | None = None
    scripted: Callable[[np.random.Generator, float], Any] | None = None
    place: Callable[[np.ndarray], np.ndarray] | None = None
    serve: Callable[[int], np.ndarray] | None = None
    maps: Callable[[], Maps] | None = None
    joint: tuple[int, int, int] | None = None
    milestones: tuple[float, ...] = ()
    max_steps: int = 1000
    keys: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    fps: int = 50
    repeat: int = 1
    own: str = ""
    hang_after: float = 300.0

    @property
    def title(self) -> str:
        """What scores are reported on."""
        return f"{self.judge_id} with {self.changed}" if self.changed else self.judge_id

    def with_change(self, name: str) -> Game:
        """The game in a world that is changed.

        Raises:
            UserError: it has no such change.
        """
        if name not in self.changes:
            raise UserError(f"{self.name} has no change {name}"
                            f"{did_you_mean(name, self.changes) or ':'} "
                            f"{', '.join(self.changes)} are known")
        change, frames = self.changes[name], self.frames
        return replace(self, name=f"{self.name}+{name}", changed=name, fast_id=None,
                       frames=lambda env: frames(change(env)))

    def repeated(self, times: int) -> Game:
        """The game in which every action is done so many times.

        Raises:
            UserError: its longest episode is no whole number of that.
        """
        if times < 2 or self.max_steps % times:
            fit = [str(n) for n in range(2, 11) if self.max_steps % n == 0]
            raise UserError(f"{self.name}@{times} does not fit: of episodes of {self.max_steps} "
                            f"steps an action can last {', '.join(fit) or 'one'}")
        return replace(self, name=f"{self.name}@{times}", repeat=self.repeat * times,
                       max_steps=self.max_steps // times, fps=max(1, self.fps // times))

    @property
    def actions(self) -> int:
        """A, the numbers in an action."""
        return len(self.low)

    @property
    def action_names(self) -> list[str]:
        """What each number of an action is called."""
        names = [self.first_action, *self.other_actions]
        for i in range(len(names), self.actions):
            keys = [key for key, push in self.keys.items() if push[i]]
            names.append(" and ".join(keys) or f"number {i + 1}")
        return names

    def act(self, outputs: np.ndarray) -> np.ndarray:
        """C's tanh outputs (B, A) -> actions in range (B, A) float32."""
        if self.squash is not None:
            return self.squash(outputs)
        return (self.low + 0.5 * (outputs + 1.0) * (self.high - self.low)).astype(np.float32)

    @property
    def ranges(self) -> bool:
        """Whether every number of an action means something by itself, not as the largest."""
        return self.choices is None or not np.array_equal(self.choices, np.eye(self.actions))

    def choose(self, values: np.ndarray) -> np.ndarray:
        """A value of each choice (B, n) -> the best ones' actions (B, A) float32.

        Numbers behind the values, (B, n + c), are an action's last ones as they are.
        """
        assert self.choices is not None  # whoever has values of choices has been checked
        n = len(self.choices)
        actions = self.choices[values[:, :n].argmax(axis=1)].astype(np.float32)
        actions[:, self.actions - values.shape[1] + n:] = values[:, n:]
        return actions

    def told(self, taken: bool) -> Callable[[np.ndarray], np.ndarray]:
        """What M is told of actions: how the game takes them, or their very numbers."""
        return self.taken if taken else lambda actions: actions

    def random_action(self, rng: np.random.Generator) -> np.ndarray:
        """A uniform action, (A,) float32."""
        return rng.uniform(self.low, self.high).astype(np.float32)

    def make(self, renderer: Renderer, render_mode: str | None = None) -> Frames:
        """An environment of frames whose episodes end by ``max_steps``.

        Raises:
            UserError: it can't be played with what is installed, or is a user's own and unfit.
        """
        return self._guarded(lambda: self._frames(renderer, render_mode), frames=True)

    def _frames(self, renderer: Renderer, render_mode: str | None) -> Frames:
        self.require(renderer)
        if renderer == "fast" and self.fast_id is not None:
            return gymnasium.make(self.fast_id, disable_env_checker=True, render_mode=render_mode)
        if self.state:  # frames are what it renders
            render_mode = render_mode or "rgb_array"
        return self.frames(self._judge(render_mode))

    def make_states(self, render_mode: str | None = None) -> gymnasium.Env[np.ndarray, np.ndarray]:
        """The judge's environment of states (S,) float32 and actions (A,); nothing is rendered.

        Raises:
            UserError: it is a user's own and unfit.
        """
        return self._guarded(lambda: self._states(render_mode), frames=False)

    def _states(self, render_mode: str | None) -> gymnasium.Env[np.ndarray, np.ndarray]:
        env = self._judge(render_mode)
        seen = Seen(env, lambda state: np.asarray(state, np.float32),
                    (lambda action: action) if self.ranges else np.argmax)
        seen.observation_space = env.observation_space
        return seen

    def _guarded(self, make: Callable[[], Frames], frames: bool) -> Frames:
        def whole() -> Frames:
            env = make()
            return env if self.repeat == 1 else Repeated(env, self.repeat, self.max_steps)

        if not self.own:
            return whole()
        return Guard(whole, self.own, self.hang_after, frames, self.state)

    def _judge(self, render_mode: str | None) -> gymnasium.Env[Any, Any]:
        told = {"render_mode": render_mode, **self.settings}
        return gymnasium.make(self.judge_id, disable_env_checker=True,
                              max_episode_steps=self.repeat * self.max_steps, **told)


def one_of(actions: np.ndarray) -> np.ndarray:
    """Actions (..., n) of a game of n choices -> 1 for the one that is taken, 0 for the others."""
    return np.eye(actions.shape[-1], dtype=np.float32)[actions.argmax(axis=-1)]


def of_choices(count: int) -> dict[str, Any]:
    """What the rows of games of so many choices have in common: the largest number chooses."""
    return {"choices": np.eye(count, dtype=np.float32), "taken": one_of,
            "low": np.full(count, -1.0, np.float32), "high": np.ones(count, np.float32)}


def largest_of_each(action: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """An action of several parts, of so many choices each -> what each part chooses."""
    return np.array([part.argmax() for part in _parts(action, counts)])


def one_of_each(actions: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Actions (..., sum of counts) -> in each part 1 for the choice that is taken, 0 else."""
    return np.concatenate([one_of(part) for part in _parts(actions, counts)], axis=-1)


def _parts(actions: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    return np.split(actions, np.cumsum(counts)[:-1], axis=-1)


def resized(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 as V sees it, (64, 64, 3): each pixel the mean over its area."""
    return cv2.resize(np.asarray(picture, np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


class Seen(gymnasium.Wrapper[np.ndarray, np.ndarray, Any, Any]):
    """An environment with V's frames as observations, and C's numbers as actions.

    What it gave itself stands in ``info["observation"]``.

    Args:
        env: any.
        see: its observation -> (64, 64, 3) uint8.
        act: an action (A,) float32 -> the environment's own; ``np.argmax`` for choices.
    """

    def __init__(self, env: gymnasium.Env[Any, Any],
                 see: Callable[[Any], np.ndarray] = resized,
                 act: Callable[[np.ndarray], Any] = lambda action: action):
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, FRAME, np.uint8)
        self._see, self._act = see, act

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._see(observation), {**info, "observation": observation}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Act once."""
        observation, reward, terminated, truncated, info = self.env.step(self._act(action))
        return (self._see(observation), float(reward), terminated, truncated,
                {**info, "observation": observation})
