"""Speed and fidelity of the fast CarRacing, side by side with the environments it stands for."""

import importlib
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import gymnasium
import numpy as np
from numpy.typing import NDArray

import worldmodels_repro.envs  # noqa: F401 (registers the environment)
from worldmodels_repro.envs.car_racing import FastCarRacing, Frame, crop_and_resize

Action = NDArray[np.float32]
Policy = Callable[[Any], Action]  # of the unwrapped environment


def random_policy(rng: np.random.Generator) -> Policy:
    return lambda env: rng.uniform([-1, 0, 0], [1, 1, 1]).astype(np.float32)


def held_policy(rng: np.random.Generator) -> Policy:
    """A random action kept for 5 to 60 steps, with more gas than brake."""
    left, action = 0, np.zeros(3, np.float32)

    def act(env: Any) -> Action:
        nonlocal left, action
        if left == 0:
            left = int(rng.integers(5, 60))
            brake = rng.uniform(0.2, 1) if rng.random() < 0.2 else 0.0
            action = np.array([rng.uniform(-1, 1), rng.uniform(0, 1), brake], np.float32)
        left -= 1
        return action

    return act


def track_policy(rng: np.random.Generator) -> Policy:
    """Steer for a point of the centre line ahead, slower when it is to the side."""
    speed = rng.uniform(35, 70)

    def act(env: Any) -> Action:
        centre = np.array(env.track)[:, 2:4]  # (n, 2)
        x, y = env.car.hull.position
        here = int(np.argmin(np.hypot(centre[:, 0] - x, centre[:, 1] - y)))
        tx, ty = centre[(here + 6) % len(centre)]
        error = math.atan2(-(tx - x), ty - y) - env.car.hull.angle
        error = math.remainder(error, math.tau)
        v = env.car.hull.linearVelocity.length
        limit = speed if abs(error) < 0.3 else speed / 2
        gas, brake = 0.5 if v < limit else 0.0, 0.3 if v > limit + 10 else 0.0
        return np.array([np.clip(-2 * error, -1, 1), gas, brake], np.float32)

    return act


def straight_policy(rng: np.random.Generator) -> Policy:
    """Gas and hardly any turn: off the road, and off the field after some seconds."""
    turn = rng.uniform(-0.02, 0.02)
    return lambda env: np.array([turn, 0.6, 0.0], np.float32)


POLICIES = (random_policy, held_policy, track_policy, straight_policy)


def drive(
    frames: int, seed: int = 0, steps: int = 400, size: int = 64
) -> Iterator[tuple[Frame, Frame]]:
    """Both environments on the same tracks under the same actions, each policy in turn.

    Yields:
        gymnasium's frame, after `crop_and_resize` where the size is 64, and the fast one; (size,
        size, 3) uint8 each.

    Raises:
        RuntimeError: if a reward or an ending differs in any bit.
    """
    theirs: Any = gymnasium.make("CarRacing-v3").unwrapped
    ours = FastCarRacing(size=size)
    count = episode = 0
    while count < frames:
        policy = POLICIES[episode % len(POLICIES)](np.random.default_rng([seed, episode]))
        frame, _ = theirs.reset(seed=seed + episode)
        fast, _ = ours.reset(seed=seed + episode)
        for _ in range(steps):
            yield crop_and_resize(frame) if size == 64 else frame, fast
            count += 1
            action = policy(theirs)
            frame, *outcome, _ = theirs.step(action)
            fast, *fast_outcome, _ = ours.step(action)
            if outcome != fast_outcome:
                raise RuntimeError(f"episode {episode} has diverged: {outcome}, {fast_outcome}")
            if any(outcome[1:]) or count >= frames:
                break
        episode += 1


def fidelity(frames: int = 5000, seed: int = 0, size: int = 64) -> tuple[float, float, int]:
    """Mean absolute difference to gymnasium's pixels, of 255.

    Returns:
        The mean over all frames, the worst frame's, and the number of frames.
    """
    pairs = drive(frames, seed, size=size)
    errors = [float(np.abs(a.astype(np.int16) - b).mean()) for a, b in pairs]
    return statistics.fmean(errors), max(errors), len(errors)


def record(steps: int, seed: int) -> list[Action]:
    """The actions of one episode of at most `steps` that follows the track."""
    env = FastCarRacing()
    env.reset(seed=seed)
    policy = track_policy(np.random.default_rng(seed))
    actions: list[Action] = []
    ended = False
    while not ended and len(actions) < steps:
        actions.append(policy(env))
        ended = env.step(actions[-1])[2]
    return actions


def rate(env: Any, actions: list[Action], seed: int) -> float:
    """Steps a second over one episode, its reset included."""
    start = time.perf_counter()
    env.reset(seed=seed)
    for action in actions:
        env.step(action)
    return len(actions) / (time.perf_counter() - start)


class Resized:
    """An environment whose frames become the fast one's 64x64: the same output, for its price."""

    def __init__(self, env: Any):
        self._env = env

    def reset(self, seed: int) -> Any:
        return self._env.reset(seed=seed)

    def step(self, action: Action) -> Frame:
        frame = self._env.step(action)[0]
        return crop_and_resize(frame.reshape(frame.shape[-3:]))  # EnvPool's are a batch of one


def env(
    steps: int = 1000,
    rounds: int = 5,
    baseline: str = "CarRacing-v3",
    size: int = 64,
    resized: bool = False,
) -> dict[str, Any]:
    """Steps a second on one core, resets included, against gymnasium's or EnvPool's.

    Args:
        steps: length of an episode.
        rounds: episodes, each on its own track and run by one environment after the other.
        baseline: a gymnasium id, or "envpool" for its CarRacing-v3 on one thread. EnvPool draws
            tracks of its own, so there the actions are the same but the road is not.
        size: pixels a side that the fast environment draws; the others always draw 96.
        resized: whether the others' frames are then made the fast one's 64x64.

    Returns:
        name, value, unit, baseline and ratio; the medians of the rounds.
    """
    cv2.setNumThreads(1)
    ours = gymnasium.make(
        "worldmodels/CarRacingFast-v0", disable_env_checker=True, size=size)
    theirs: Any = EnvPool(steps) if baseline == "envpool" else gymnasium.make(baseline)
    theirs = Resized(theirs) if resized else theirs
    ours.reset(seed=0)  # the sprites and the field are made once a process
    theirs.reset(seed=0)
    values, baselines, ratios = [], [], []
    for seed in range(rounds):
        actions = record(steps, seed)
        baselines.append(rate(theirs, actions, seed))
        values.append(statistics.median(rate(ours, actions, seed) for _ in range(3)))
        ratios.append(values[-1] / baselines[-1])
    return {
        "name": f"CarRacing at {size}x{size}, {steps}-step episodes, against {baseline}",
        "value": statistics.median(values),
        "unit": "steps/s",
        "baseline": statistics.median(baselines),
        "ratio": statistics.median(ratios),
    }


class EnvPool:
    """EnvPool's CarRacing with one environment and one thread, as a single environment."""

    def __init__(self, steps: int):
        envpool = importlib.import_module("envpool")
        self._pool = envpool.make(
            "CarRacing-v3",
            env_type="gymnasium",
            num_envs=1,
            num_threads=1,
            max_episode_steps=steps,
        )

    def reset(self, seed: int) -> Any:
        return self._pool.reset()

    def step(self, action: Action) -> Any:
        return self._pool.step(action[None])


def has_envpool() -> bool:
    """Whether it is installed, and can be imported (its wheels may lack files of other games)."""
    try:
        importlib.import_module("envpool")
    except Exception:  # whatever it stumbles over
        return False
    return True


if __name__ == "__main__":
    for side in (64, 96):
        mean, worst, count = fidelity(size=side)
        print(f"{side}x{side}: mean absolute error {mean:.3f}, worst frame {worst:.3f}, {count} "
              "frames")
        for length in (1000, 150):
            for against in ("CarRacing-v3", *(["envpool"] if has_envpool() else [])):
                print(env(length, 5 if length == 1000 else 20, against, side))
