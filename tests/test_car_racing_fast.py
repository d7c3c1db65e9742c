"""The fast CarRacing: gymnasium's dynamics bit for bit, and gymnasium's picture nearly so."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.box2d import car_dynamics, car_racing
from gymnasium.utils.env_checker import check_env

from benchmarks import env as bench
from worldmodels_repro.envs import car_drawing
from worldmodels_repro.envs.car_racing import FastCarRacing, check_gymnasium, crop_and_resize


def car_of(env: car_racing.CarRacing) -> car_dynamics.Car:
    """Its car, which is there from the first reset on."""
    assert env.car is not None
    return env.car


class Blind(car_racing.CarRacing):
    """gymnasium's environment without its picture, for long comparisons of the dynamics."""

    def _render(self, mode: str) -> None:
        return None


def state(env: car_racing.CarRacing) -> list[float]:
    car = car_of(env)
    numbers = [env.reward, env.t, env.tile_visited_count, car.fuel_spent]
    for body in (car.hull, *car.wheels):
        numbers += [*body.position, body.angle, *body.linearVelocity, body.angularVelocity]
    for wheel in car.wheels:
        numbers += [wheel.omega, wheel.phase, wheel.gas, wheel.brake, wheel.steer]
        numbers += [wheel.joint.angle, len(wheel.tiles)]
    return [float(n) for n in numbers]


def skids(env: car_racing.CarRacing) -> list[Any]:
    return [(p.color, p.poly, p.grass) for p in car_of(env).particles]


@pytest.mark.parametrize("policy", bench.POLICIES)
@pytest.mark.parametrize("seed", [0, 7])
def test_dynamics_are_bit_identical_to_the_end_of_the_episode(
        policy: Callable[[np.random.Generator], bench.Policy], seed: int) -> None:
    theirs, ours = Blind(), FastCarRacing()
    act = policy(np.random.default_rng(seed))
    theirs.reset(seed=seed)
    ours.reset(seed=seed)
    assert theirs.track == ours.track
    colors = [[int(c) for c in color] for _, color in theirs.road_poly]
    assert colors == [[int(c) for c in color] for _, color in ours.road_poly]
    for _ in range(1000):
        action = act(theirs)
        expected = theirs.step(action)[1:]
        assert ours.step(action)[1:] == expected
        assert state(ours) == state(theirs)
        if expected[1]:
            break
    assert skids(ours) == skids(theirs)
    assert all(
        np.array_equal(a, b)
        for (_, a), (_, b) in zip(theirs.road_poly, ours.road_poly, strict=True)
    )
    if policy is bench.straight_policy:
        assert expected == (-100, True, False, {"lap_finished": False})
    if policy is bench.track_policy:
        assert theirs.tile_visited_count > 50


def test_a_lap_ends_both_episodes_alike() -> None:
    theirs, ours = Blind(lap_complete_percent=0.1), FastCarRacing(lap_complete_percent=0.1)
    act = bench.track_policy(np.random.default_rng(3))
    theirs.reset(seed=3)
    ours.reset(seed=3)
    expected = None
    for _ in range(3000):
        action = act(theirs)
        expected = theirs.step(action)[1:]
        assert ours.step(action)[1:] == expected
        if expected[1]:
            break
    assert expected is not None
    assert expected[1:] == (True, False, {"lap_finished": True})


def test_discrete_actions_are_gymnasiums() -> None:
    theirs, ours = Blind(continuous=False), FastCarRacing(continuous=False)
    theirs.reset(seed=1)
    ours.reset(seed=1)
    for action in np.random.default_rng(1).integers(5, size=200):
        assert ours.step(action)[1:] == theirs.step(action)[1:]
        assert state(ours) == state(theirs)


@pytest.mark.parametrize("count", [400, pytest.param(1300, marks=pytest.mark.slow)])
def test_frames_look_like_gymnasiums(count: int) -> None:
    mean, worst, frames = bench.fidelity(frames=count, seed=100)
    assert frames == count
    assert mean <= 0.5
    assert worst <= 2.0


def test_whole_frames_look_like_gymnasiums() -> None:
    mean, worst, _ = bench.fidelity(frames=300, seed=100, size=96)
    assert mean <= 0.5
    assert worst <= 2.0


@pytest.mark.parametrize("score", [-12.4, 7.0, 998.6])
def test_instruments_are_gymnasiums(score: float) -> None:
    theirs, ours = car_racing.CarRacing(), FastCarRacing(size=96)
    for game in (theirs, ours):
        game.reset(seed=0)
        for _ in range(60):
            game.step(np.array([0.3, 1, 0], np.float32))
        game.reward = score
        car_of(game).hull.angularVelocity = -2.0
        for speed, wheel in zip((150.0, -20.0, 0.0, 90.0), car_of(game).wheels, strict=True):
            wheel.omega = speed
    expected, shown = (game._render("state_pixels")[84:] for game in (theirs, ours))
    assert (expected > 50).any()
    assert np.abs(expected.astype(int) - shown).mean() < 0.2
    assert np.abs(expected.astype(int) - shown).max() <= 30  # where two bars share a column


def test_crop_cuts_the_instruments_off_and_averages_areas() -> None:
    frame = np.zeros((96, 96, 3), np.uint8)
    frame[84:] = 255  # the instruments
    frame[:84, :48] = 100
    out = crop_and_resize(frame)
    assert (out.shape, out.dtype) == ((64, 64, 3), np.uint8)
    assert (out[:, :32] == 100).all()
    assert (out[:, 32:] == 0).all()


@pytest.mark.parametrize(
    "frame", [np.zeros((64, 64, 3), np.uint8), np.zeros((96, 96, 3), np.float32)]
)
def test_crop_refuses_other_shapes(frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be"):
        crop_and_resize(frame)


def test_gymnasiums_instruments_do_not_show() -> None:
    env = gymnasium.make("CarRacing-v3").unwrapped
    assert isinstance(env, car_racing.CarRacing)
    env.reset(seed=0)
    for _ in range(60):
        full = env.step(np.array([0, 1, 0], np.float32))[0]
    env.reward, env.prev_reward = 1e6, 1e6
    car_of(env).hull.angularVelocity = 50.0  # every dial to its end
    for wheel in car_of(env).wheels:
        wheel.omega = 300.0
    dials = env._render("state_pixels")
    assert (dials[84:] != full[84:]).any()
    np.testing.assert_array_equal(crop_and_resize(dials), crop_and_resize(full))


@pytest.mark.parametrize("size", [64, 96])
@pytest.mark.parametrize("continuous", [True, False])
def test_gymnasiums_checker_finds_nothing(size: int, continuous: bool) -> None:
    env = gymnasium.make("worldmodels_repro:worldmodels/CarRacingFast-v0", size=size,
                         continuous=continuous)
    assert env.observation_space.shape == (size, size, 3)
    check_env(env.unwrapped, skip_render_check=True)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="64x64 or 96x96"):
        FastCarRacing(size=84)


def test_processes_play_what_one_would() -> None:
    many = gymnasium.make_vec("worldmodels_repro:worldmodels/CarRacingFast-v0", num_envs=2,
                              vectorization_mode="async", size=96)
    alone = [pickle.loads(pickle.dumps(FastCarRacing(size=96))) for _ in range(2)]
    seen = [many.reset(seed=3)[0], [env.reset(seed=3 + k)[0] for k, env in enumerate(alone)]]
    for _ in range(20):
        np.testing.assert_array_equal(*seen)
        action = np.array([[0.1, 0.5, 0.0], [-0.2, 0.8, 0.0]], np.float32)
        seen = [many.step(action)[0], [env.step(action[k])[0] for k, env in enumerate(alone)]]
    many.close()


def test_the_game_alone_brings_no_model_along() -> None:
    code = """
import sys, gymnasium
env = gymnasium.make("worldmodels_repro:worldmodels/CarRacingFast-v0", size=96)
env.reset(seed=1); env.step(env.action_space.sample())
brought = [name for name in sys.modules if name.partition(".")[0] in
           ("tensorflow", "keras", "openvino", "cma", "pydantic", "matplotlib")
           or name.startswith(("worldmodels_repro.models", "worldmodels_repro.worlds"))]
assert not brought, brought
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_api() -> None:
    env = gymnasium.make("worldmodels/CarRacingFast-v0")
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert env.reset(seed=0)[0] in env.observation_space
    for _ in range(1000):
        *_, ended, cut, _ = env.step(np.zeros(3, np.float32))
    assert cut and not ended
    game = env.unwrapped
    assert isinstance(game, FastCarRacing)
    assert game.surf is None and game.clock is None  # nothing of pygame's


def test_rgb_array_is_gymnasiums() -> None:
    theirs, ours = car_racing.CarRacing("rgb_array"), FastCarRacing("rgb_array")
    theirs.reset(seed=5)
    ours.reset(seed=5)
    for _ in range(60):
        theirs.step(np.array([0.1, 1, 0], np.float32))
        ours.step(np.array([0.1, 1, 0], np.float32))
    np.testing.assert_array_equal(theirs.render(), ours.render())
    ours.close()
    theirs.close()


def test_domain_randomize_is_refused() -> None:
    with pytest.raises(ValueError, match="use CarRacing-v3"):
        FastCarRacing(domain_randomize=True)


def play(env: FastCarRacing, seed: int, steps: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frames = [env.reset(seed=seed)[0].copy()]
    for _ in range(steps):
        action = rng.uniform([-1, 0, 0], [1, 1, 0.2]).astype(np.float32)
        frames.append(env.step(action)[0].copy())
    return np.array(frames)


def test_a_seed_gives_the_same_frames_after_other_episodes() -> None:
    env = FastCarRacing()
    first = play(env, 2, 90)
    play(env, 3, 120)
    play(env, 4, 10)
    np.testing.assert_array_equal(play(env, 2, 90), first)
    np.testing.assert_array_equal(play(pickle.loads(pickle.dumps(env)), 2, 90), first)


def test_environments_do_not_influence_each_other() -> None:
    envs = [FastCarRacing() for _ in range(3)]
    alone = [play(env, seed, 80) for seed, env in enumerate(envs)]
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    seen = [env.reset(seed=seed)[0] for seed, env in enumerate(envs)]
    for k in range(80):
        np.testing.assert_array_equal(seen, [frames[k] for frames in alone])
        seen = [env.step(rng.uniform([-1, 0, 0], [1, 1, 0.2]).astype(np.float32))[0]
                for env, rng in zip(envs, rngs, strict=True)]
        if k == 40:
            envs[0].close()
    np.testing.assert_array_equal(seen, [frames[80] for frames in alone])


def test_memory_of_an_environment() -> None:
    env = FastCarRacing()
    for seed in range(20):
        env.reset(seed=seed)
    assert env._texture._memory.nbytes + env._texture.canvas.nbytes <= 2_500_000


def test_touched_tiles_change_colour_in_the_picture() -> None:
    env = FastCarRacing()
    env.reset(seed=0)
    for _ in range(60):
        env.step(np.zeros(3, np.float32))
    hull = car_of(env).hull
    x, y = hull.position
    before = env._texture.view(x, y, hull.angle, env.t).copy()
    assert env.road is not None
    for tile in env.road:
        tile.color[:] = env.road_color
    env._render("state_pixels")
    after = env._texture.view(x, y, hull.angle, env.t)
    road = (before[..., 0] == before[..., 1]) & (before[..., 0] > 0)
    assert len(np.unique(before[road])) > 3
    assert np.mean(after[road][:, 0] == car_drawing.shown(*car_drawing.ROAD_COLOR)[0]) > 0.95


def test_guard_accepts_the_installed_gymnasium() -> None:
    check_gymnasium()


@pytest.mark.parametrize("version", ["0.29.1", "1.2.2", "1.5.0", "1.40.0", "1.4.0rc1", "1.4"])
def test_guard_refuses_other_versions(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(gymnasium, "__version__", version)
    with pytest.raises(RuntimeError, match="works with gymnasium") as refusal:
        FastCarRacing()
    said = str(refusal.value)
    assert f"not with {version}: type pip install" in said
    assert "gymnasium[box2d]==1.4.0" in said and "\n" not in said


@pytest.mark.parametrize("version", ["1.2.3", "1.2.17", "1.3.1", "1.4.9"])
def test_guard_takes_later_patches_with_the_same_constants(
        monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(gymnasium, "__version__", version)
    check_gymnasium()
    monkeypatch.setattr(car_racing, "FPS", 60)
    with pytest.raises(RuntimeError, match=r"FPS differs.*pip install"):
        check_gymnasium()


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (car_racing, "ZOOM", 2.5),
        (car_racing, "TRACK_WIDTH", 7.0),
        (car_racing, "PLAYFIELD", 300.0),
        (car_racing, "FPS", 60),
        (car_dynamics, "SIZE", 0.03),
        (car_dynamics, "FRICTION_LIMIT", 500.0),
        (car_dynamics, "HULL_POLY3", [(0, 0), (1, 0), (0, 1)]),
    ],
)
def test_guard_refuses_other_constants(monkeypatch: pytest.MonkeyPatch, module: ModuleType,
                                       name: str, value: object) -> None:
    monkeypatch.setattr(module, name, value)
    with pytest.raises(RuntimeError, match=f"{name} differs") as refusal:
        check_gymnasium()
    assert "\n" not in str(refusal.value)


def test_guard_refuses_other_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def paint(env: car_racing.CarRacing) -> None:
        env.road_color = np.array([90, 90, 90])
        env.bg_color = np.array([102, 204, 102])
        env.grass_color = np.array([102, 230, 102])

    monkeypatch.setattr(car_racing.CarRacing, "_init_colors", paint)
    with pytest.raises(RuntimeError, match="road_color differs"):
        check_gymnasium()


def test_rewards_and_endings_are_those_the_scores_are_quoted_in() -> None:
    env = FastCarRacing()
    env.reset(seed=0)
    for _ in range(100):  # the start touches its tiles while the car settles
        _, reward, ended, cut, _ = env.step(np.zeros(3, np.float32))
    assert reward == pytest.approx(-0.1)
    assert not ended and not cut
    total, visited = env.reward, env.tile_visited_count
    while env.tile_visited_count == visited:
        env.step(np.array([0, 0.5, 0], np.float32))
        total -= 0.1
    gained = (env.tile_visited_count - visited) * 1000 / len(env.track)
    assert env.reward - total == pytest.approx(gained)
    for body in (car_of(env).hull, *car_of(env).wheels):
        body.position = (body.position[0] + car_racing.PLAYFIELD + 200, body.position[1])
    _, reward, ended, _, info = env.step(np.zeros(3, np.float32))
    assert (reward, ended, info) == (-100, True, {"lap_finished": False})


def test_frames_do_not_depend_on_the_episodes_before() -> None:
    def drive(env: FastCarRacing, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        frames = [env.reset(seed=seed)[0].copy()]
        for step in range(150):
            if step % 10 == 0:
                action = np.array([rng.uniform(-0.3, 0.3), rng.uniform(0.3, 1.0), 0.0], np.float32)
            frames.append(env.step(action)[0].copy())
        return np.stack(frames)

    used = FastCarRacing()
    for seed in range(100, 104):
        drive(used, seed)
    for seed in (7, 8, 9, 10):
        np.testing.assert_array_equal(drive(used, seed), drive(FastCarRacing(), seed))


@pytest.mark.slow
def test_stable_baselines3_learns_on_it_and_on_gymnasiums() -> None:
    pytest.importorskip("stable_baselines3")
    done = subprocess.run([sys.executable, "examples/car_racing_ppo.py", "--minutes", "0.05",
                           "--games", "1", "--episodes", "1", "--n-steps", "16"],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "over 1 episodes" in line]
    assert [line.partition(":")[0] for line in lines] == ["CarRacingFast-v0", "CarRacing-v3"]
