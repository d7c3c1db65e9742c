"""Is a game fit for a world model? It is played at random for a minute, before hours are spent.

The game is a user's own: it may raise, hang, or end the process. So it is played in a process of
its own (:func:`inspect`), whose parent says what became of it.
"""

from __future__ import annotations

import itertools
import multiprocessing
import time
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from worldmodels_repro.envs.game import Frames, Game
from worldmodels_repro.envs.guard import UnfitError, told
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.policies.policy import EachEpisode
from worldmodels_repro.policies.random import UniformlyRandom
from worldmodels_repro.policies.registry import policy_named
from worldmodels_repro.sections import Rollouts
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.worlds.episodes import Policy

LEVELS = 8  # of 255: a pixel that differs by more has changed
LEAST = 100  # steps of each policy, however long they take
AGAIN = 50  # steps that are played twice, and with other actions
MOMENTS = 6  # of an episode, to look at


@dataclass
class Episode:
    """One that was played: its score, and what came in it.

    Attributes:
        gains: the steps with a reward above 0.
        rewards: every step's.
        ended: whether it ended by itself.
        whole: whether it was played to its end, not until the time was up.
        moved: for each step, V's pixels that changed.
    """

    score: float = 0.0
    steps: int = 0
    gains: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    ended: bool = False
    whole: bool = False
    moved: list[int] = field(default_factory=list)

    @property
    def drought(self) -> int:
        """The most steps in a row without a gain."""
        edges = [-1, *self.gains, self.steps]
        return max(b - a - 1 for a, b in itertools.pairwise(edges))


@dataclass
class Findings:
    """What came of playing.

    Attributes:
        played: each policy's episodes.
        speed: steps a second on one core, frames for V included.
        reset: seconds that one takes.
        moments: pairs of what the game renders and what V sees, in an episode's order.
        problems: what must be mended, a line each.
    """

    played: dict[str, list[Episode]] = field(default_factory=dict)
    speed: float = 0.0
    reset: float = 0.0
    moments: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def episodes(self) -> list[Episode]:
        """All of them."""
        return [episode for episodes in self.played.values() for episode in episodes]


def inspect(spec: str, episodes: int, seconds: float, patience: float) -> Findings:
    """Play a game in a process of its own.

    Args:
        spec: ``path/to/file.py:GAME``, or a row's name.
        episodes: of each policy, at most.
        seconds: in which they are to be played.
        patience: seconds that a single call of the game may take.

    Raises:
        UserError: there is no such game.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    pulse = context.Array("q", 2, lock=False)  # the policy's number; steps so far, calls in fact
    process = context.Process(target=_child, args=(theirs, pulse, spec, episodes, seconds),
                              daemon=True)
    process.start()
    theirs.close()
    heard, last = time.monotonic(), pulse[1]
    while not ours.poll(0.2):
        if pulse[1] != last:
            heard, last = time.monotonic(), pulse[1]
        elif time.monotonic() - heard > patience:
            process.kill()
            return Findings(problems=[f"it hangs: {_where(pulse)} did not come back in "
                                      f"{patience:.0f} s"])
    try:
        found, refusal = ours.recv()
    except EOFError:
        process.join()
        return Findings(problems=[f"it ends the whole process (exit code {process.exitcode}): "
                                  f"in {_where(pulse)}"])
    finally:
        ours.close()
    process.join()
    if refusal is not None:
        raise UserError(refusal)
    assert isinstance(found, Findings)
    return found


def _where(pulse: Any) -> str:
    return f"call {pulse[1]} of the game" if pulse[1] else "its file, or making the game,"


def _child(connection: Connection, pulse: Any, spec: str, episodes: int, seconds: float) -> None:
    try:
        connection.send((look(spec, episodes, seconds, pulse), None))
    except UserError as error:
        connection.send((None, str(error)))


def look(spec: str, episodes: int, seconds: float, pulse: Any = None) -> Findings:
    """Play a game in this process, which it may hang or end.

    Args:
        spec: ``path/to/file.py:GAME``, or a row's name.
        episodes: of each policy, at most.
        seconds: in which they are to be played.
        pulse: two numbers that are kept true for who watches: the policy's, and the calls so far.

    Raises:
        UserError: there is no such game.
    """
    findings, game = Findings(), replace(game_named(spec), own=spec)
    game.require("fast")
    try:
        _play(game, findings, [0, 0] if pulse is None else pulse, episodes, seconds)
    except UnfitError as unfit:
        findings.problems.append(unfit.what)
    except UserError:
        raise
    except Exception as error:  # the game's own: whatever it is, it is what the user must hear
        findings.problems.append(f"it raises {told(error)}")
    return findings


class _Counted:
    """An environment of frames whose calls are counted, for who watches."""

    def __init__(self, env: Frames, pulse: Any):
        self._env, self._pulse = env, pulse

    def reset(self, seed: int) -> np.ndarray:
        self._pulse[1] += 1
        return self._env.reset(seed=seed)[0].copy()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        self._pulse[1] += 1
        frame, reward, terminated, truncated, _ = self._env.step(action)
        return frame.copy(), float(reward), terminated, truncated

    def render(self) -> np.ndarray:
        return np.asarray(self._env.render(), np.uint8)

    def close(self) -> None:
        self._env.close()


def _policies(game: Game) -> dict[str, Policy]:
    settings = Rollouts(policies={"held": 1}, held_steps=(5, 30))  # held as the quick preset does
    return {"uniform": EachEpisode(partial(UniformlyRandom, game)),
            **{name: policy_named(name)(game, settings, None)
               for name in ("held", "brownian", "network")}}


def _play(game: Game, findings: Findings, pulse: Any, episodes: int, seconds: float) -> None:
    env = _Counted(game.make("fast"), pulse)
    _same_again(game, env, findings, pulse)
    begun = time.monotonic()
    acting = resetting = 0.0
    resets = steps = 0
    policies = _policies(game)
    for number, (name, policy) in enumerate(policies.items(), start=1):
        pulse[0], findings.played[name] = number, []
        until, least = begun + seconds * number / len(policies), steps + LEAST
        for k in range(episodes):
            seed = episode_seed(0, "rollouts", number, k)
            policy.reset(0, seed, k)
            started = time.perf_counter()
            frame = env.reset(seed)
            resetting, resets = resetting + time.perf_counter() - started, resets + 1
            episode = Episode()
            findings.played[name].append(episode)
            while episode.steps < game.max_steps and (time.monotonic() < until
                                                      or steps < least):
                action = policy.act(frame[None])[0]
                started = time.perf_counter()
                seen, reward, terminated, truncated = env.step(action)
                acting, steps = acting + time.perf_counter() - started, steps + 1
                if reward > 0:
                    episode.gains.append(episode.steps)
                episode.rewards.append(reward)
                episode.score, episode.steps = episode.score + reward, episode.steps + 1
                episode.moved.append(_changed(frame, seen))
                frame = seen
                episode.ended = terminated
                episode.whole = terminated or truncated or episode.steps == game.max_steps
                if episode.whole:
                    break
            if time.monotonic() >= until and steps >= least:
                break
    env.close()
    findings.speed, findings.reset = steps / max(acting, 1e-9), resetting / max(resets, 1)
    longest = max(findings.episodes, key=lambda episode: episode.steps).steps
    findings.moments = _moments(game, policies["held"], pulse, longest)
    _judge_what_was_seen(findings)


def _changed(frame: np.ndarray, seen: np.ndarray) -> int:
    """V's pixels of which any colour differs by more than LEVELS."""
    apart = np.abs(frame.astype(np.int16) - seen)
    return int((apart.max(axis=-1) > LEVELS).sum())


def _trace(env: _Counted, seed: int, actions: np.ndarray) -> list[Any]:
    """Frames, rewards and endings of up to AGAIN steps with these actions, (AGAIN, A)."""
    trace: list[Any] = [env.reset(seed)]
    for action in actions:
        frame, reward, terminated, truncated = env.step(action)
        trace += [frame, reward, terminated]
        if terminated or truncated:
            break
    return trace


def _alike(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def _same_again(game: Game, env: _Counted, findings: Findings, pulse: Any) -> None:
    """The same seed and actions twice; the same seed with other actions; another seed."""
    rng = np.random.default_rng(0)
    actions = np.stack([game.random_action(rng) for _ in range(AGAIN)])
    first = _trace(env, 1, actions)
    again = _trace(env, 1, actions)
    fresh = _Counted(game.make("fast"), pulse)
    afresh = _trace(fresh, 1, actions)
    fresh.close()
    if not (_alike(first, again) and _alike(first, afresh)):
        findings.problems.append(
            "the same seed and actions give another episode: draw everything from self.np_random "
            "after super().reset(seed=seed), or no run can be repeated")
    extremes = [*np.eye(game.actions), *1.0 - np.eye(game.actions)]
    traces = (_trace(env, 1, np.tile(game.low + (game.high - game.low) * part, (AGAIN, 1))
                     .astype(np.float32)) for part in extremes)
    one = next(traces)
    if all(_alike(one, other) for other in traces):
        findings.problems.append("no action changes anything: look at what `act` gives the game")


def _moments(game: Game, policy: Policy, pulse: Any,
             steps: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the game renders beside what V sees of it, from start to end of an episode."""
    env = _Counted(game.make("original", render_mode="rgb_array"), pulse)
    seed, moments = episode_seed(0, "rollouts", 2, 0), []
    policy.reset(0, seed, 0)
    frame = env.reset(seed)
    shown = set(np.linspace(0, max(steps - 1, 1), MOMENTS).astype(int).tolist())
    for step in range(steps):
        if step in shown:
            moments.append((env.render(), frame))
        frame, _, terminated, truncated = env.step(policy.act(frame[None])[0])
        if terminated or truncated:
            break
    moments.append((env.render(), frame))
    env.close()
    return moments


def _judge_what_was_seen(findings: Findings) -> None:
    """Problems that only show over many steps."""
    problems, episodes = findings.problems, findings.episodes
    moved = [pixels for episode in episodes for pixels in episode.moved]
    frames = [frame for _, frame in findings.moments]
    if all(frame.min() == frame.max() for frame in frames):
        problems.append("every frame is of one colour: is the picture in 0 to 255, uint8, and does "
                        "the crop hold the game?")
    elif not any(moved):
        problems.append("what V sees never changes: look at `see`, at the crop, and at the PNG")
    elif np.mean(np.array(moved) > 0) < 0.02:
        problems.append(f"what V sees changes in {100 * np.mean(np.array(moved) > 0):.1f} % of the "
                        "steps: crop closer to what moves, so that it is larger than a pixel")
    rewards = {reward for episode in episodes for reward in episode.rewards}
    if rewards <= {0.0}:
        problems.append("no policy ever met a reward: nothing tells one C from another; reward "
                        "steps on the way, or start episodes nearer to what is rewarded")
    elif len({round(episode.score, 6) for episode in episodes}) == 1 and len(episodes) > 1:
        problems.append(f"every episode scored {episodes[0].score:g}: nothing tells one C from "
                        "another; reward steps on the way")
