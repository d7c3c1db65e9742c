"""CarRacing with gymnasium's own dynamics and a fast picture.

`FastCarRacing` inherits dynamics, track, rewards and endings from gymnasium's `CarRacing` and
replaces the picture alone, which `car_drawing` and `car_sprite` draw.
"""

import math
from types import FunctionType, SimpleNamespace
from typing import Any

import Box2D
import cv2
import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.box2d import car_dynamics as dynamics
from gymnasium.envs.box2d import car_racing as upstream
from gymnasium.utils import EzPickle
from numpy.typing import NDArray

from worldmodels_repro.envs.car_drawing import (
    CROPPED,
    FIELD_COLOR,
    GRASS_COLOR,
    ROAD_COLOR,
    SIZE,
    WHOLE,
    Frame,
    TrackTexture,
    crop_and_resize,
)
from worldmodels_repro.envs.car_panel import Panel
from worldmodels_repro.envs.car_sprite import CarBlender

__all__ = ["FastCarRacing", "Frame", "check_gymnasium", "crop_and_resize"]

# Of each minor version whose picture was compared, the first patch that is taken. A later one is
# known by its constants and colours.
CHECKED_VERSIONS = {"1.2": 3, "1.3": 0, "1.4": 0}

# Everything the drawing takes as given, by the module of gymnasium that defines it.
CONSTANTS: dict[str, dict[str, Any]] = {
    "car_racing": {
        "STATE_W": 96,
        "STATE_H": 96,
        "WINDOW_W": 1000,
        "WINDOW_H": 800,
        "SCALE": 6.0,
        "TRACK_RAD": 900 / 6.0,
        "PLAYFIELD": 2000 / 6.0,
        "FPS": 50,
        "ZOOM": 2.7,
        "ZOOM_FOLLOW": True,
        "TRACK_DETAIL_STEP": 21 / 6.0,
        "TRACK_TURN_RATE": 0.31,
        "TRACK_WIDTH": 40 / 6.0,
        "BORDER": 8 / 6.0,
        "BORDER_MIN_COUNT": 4,
        "GRASS_DIM": 2000 / 6.0 / 20.0,
    },
    "car_dynamics": {
        "SIZE": 0.02,
        "ENGINE_POWER": 100000000 * 0.02 * 0.02,
        "WHEEL_MOMENT_OF_INERTIA": 4000 * 0.02 * 0.02,
        "FRICTION_LIMIT": 1000000 * 0.02 * 0.02,
        "WHEEL_R": 27,
        "WHEEL_W": 14,
        "WHEELPOS": [(-55, 80), (55, 80), (-55, -82), (55, -82)],
        "HULL_POLY1": [(-60, 130), (60, 130), (60, 110), (-60, 110)],
        "HULL_POLY2": [(-15, 120), (15, 120), (20, 20), (-20, 20)],
        "HULL_POLY3": [
            (25, 20),
            (50, -10),
            (50, -40),
            (20, -90),
            (-20, -90),
            (-50, -40),
            (-50, -10),
            (-25, 20),
        ],
        "HULL_POLY4": [(-50, -120), (50, -120), (50, -90), (-50, -90)],
        "WHEEL_COLOR": (0, 0, 0),
        "WHEEL_WHITE": (77, 77, 77),
    },
}
COLORS = {"road_color": ROAD_COLOR, "bg_color": FIELD_COLOR, "grass_color": GRASS_COLOR}


def check_gymnasium() -> None:
    """Refuse a gymnasium whose CarRacing is not the one this picture was compared with.

    Raises:
        RuntimeError: if the minor version is not in `CHECKED_VERSIONS`, its patch is too old, or
            a constant or colour differs.
    """
    versions = [f"{minor}.{patch}" for minor, patch in CHECKED_VERSIONS.items()]
    works = f"FastCarRacing works with gymnasium {', '.join(versions)} and later patches of these"
    repair = f"type pip install --force-reinstall 'gymnasium[box2d]=={versions[-1]}'"
    minor, _, patch = gymnasium.__version__.rpartition(".")
    if not patch.isdecimal() or int(patch) < CHECKED_VERSIONS.get(minor, math.inf):
        raise RuntimeError(f"{works}, not with {gymnasium.__version__}: {repair}")
    for module in (upstream, dynamics):
        name = module.__name__.rpartition(".")[2]
        for constant, expected in CONSTANTS[name].items():
            if getattr(module, constant, None) != expected:
                raise RuntimeError(f"{works}, as released; here {name}.{constant} differs: "
                                   f"{repair}")
    painter: Any = SimpleNamespace(domain_randomize=False)
    upstream.CarRacing._init_colors(painter)
    for color, expected in COLORS.items():
        if tuple(getattr(painter, color)) != expected:
            raise RuntimeError(f"{works}, as released; here {color} differs: {repair}")


class _ScalarNumpy:
    """numpy for code that works on single floats, where plain Python is several times faster.

    The four functions give the same bits as numpy's on finite floats: IEEE 754 defines the
    product and the square root, and the others only choose a value. Anything else is numpy's.
    """

    sqrt = staticmethod(math.sqrt)

    @staticmethod
    def square(x: float) -> float:
        return x * x

    @staticmethod
    def sign(x: float) -> float:
        return 1.0 if x > 0 else -1.0 if x < 0 else 0.0 if x == 0 else x

    @staticmethod
    def clip(x: float, low: float, high: float) -> float:
        return low if x < low else high if x > high else x

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def _on_floats(method: Any) -> Any:
    """The same compiled method with `np` meaning `_ScalarNumpy`."""
    names = {**method.__globals__, "np": _ScalarNumpy()}
    twin = FunctionType(
        method.__code__, names, method.__name__, method.__defaults__, method.__closure__
    )
    twin.__kwdefaults__ = method.__kwdefaults__
    return twin


class _FloatCar(dynamics.Car):
    """gymnasium's car computing on floats in place of numpy scalars."""

    step = _on_floats(dynamics.Car.step)
    _gas = _on_floats(dynamics.Car.gas)

    def gas(self, gas: float) -> None:
        self._gas(float(gas))

    def brake(self, b: float) -> None:
        super().brake(float(b))

    def steer(self, s: float) -> None:
        super().steer(float(s))


class _TileColor:
    """A tile's colour that tells the environment when a contact repaints it."""

    __slots__ = ("_color", "_tile", "_touched")

    def __init__(self, color: NDArray[np.float64], tile: int, touched: set[int]) -> None:
        self._color, self._tile, self._touched = color, tile, touched

    def __setitem__(self, key: Any, value: Any) -> None:
        self._color[key] = value
        self._touched.add(self._tile)


class FastCarRacing(upstream.CarRacing):
    """CarRacing-v3 whose picture costs less than its dynamics.

    Rewards, endings and the car's motion are gymnasium's, bit for bit, for the same seed and
    actions. An observation of `size` 64, (64, 64, 3) uint8, is what `crop_and_resize` makes of
    gymnasium's frame to within half a level on average; one of 96, (96, 96, 3) uint8, is
    gymnasium's frame, instruments included, to within a level on average. An environment holds
    about 2 MB of texture, or 4.

    `render_mode` may be "rgb_array" or "human", drawn by gymnasium at gymnasium's speed.

    Args: as gymnasium's, without `domain_randomize`; and `size`, 64 or 96.

    Raises:
        ValueError: for `domain_randomize=True`, or another size.
        RuntimeError: from `check_gymnasium`.
    """

    # The same track from the same random numbers, with signs and roots taken on floats.
    _draw_lots_for_track = _on_floats(upstream.CarRacing._create_track)

    def __init__(
        self,
        render_mode: str | None = None,
        verbose: bool = False,
        lap_complete_percent: float = 0.95,
        domain_randomize: bool = False,
        continuous: bool = True,
        size: int = SIZE,
    ) -> None:
        check_gymnasium()
        if size not in (SIZE, upstream.STATE_W):
            raise ValueError(f"FastCarRacing draws 64x64 or 96x96 pixels, not {size}: set size=64")
        if domain_randomize:
            raise ValueError(
                "FastCarRacing draws the standard colours; for domain_randomize use CarRacing-v3"
            )
        own = (render_mode, verbose, lap_complete_percent, domain_randomize, continuous)
        super().__init__(*own)
        EzPickle.__init__(self, *own, size)  # a copy draws as large as this one
        self.observation_space = spaces.Box(0, 255, (size, size, 3), np.uint8)
        view = CROPPED if size == SIZE else WHOLE
        self._canvas = np.empty((size, size, 4), np.uint8)
        self._texture = TrackTexture(view, self._canvas[: view.height])
        self._blender = CarBlender(view, self._texture.canvas)
        self._panel = None if view is CROPPED else Panel(self._canvas[view.height :, :, :3])
        self._touched: set[int] = set()
        self._draws = True
        tile = Box2D.b2BodyDef(type=Box2D.b2_staticBody)

        def create_static_body(fixtures: Any) -> Any:
            # Making a definition for each of some 300 tiles takes longer than making the tile.
            tile.fixtures = fixtures
            return self.world.CreateBody(tile)

        self.world.CreateStaticBody = create_static_body

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        """Start an episode on a new track; as gymnasium's."""
        observation, info = super().reset(seed=seed, options=options)
        self.car.__class__ = _FloatCar
        return observation, info

    def repeat_step(self, action: Any, times: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """So many steps of one action; only the last is drawn."""
        total = 0.0
        for left in reversed(range(times)):
            self._draws = left == 0
            frame, reward, terminated, truncated, info = self.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        if not self._draws:  # it ended before
            self._draws = True
            frame = self.state = self._render("state_pixels")
        return frame, total, terminated, truncated, info

    def _create_track(self) -> bool:
        if not self._draw_lots_for_track():
            return False
        self._touched.clear()
        road: Any = self.road
        for tile in road:
            tile.color = _TileColor(tile.color, tile.idx, self._touched)
        self._texture.paint(self.road_poly)
        return True

    def _render(self, mode: str) -> Any:
        if mode != "state_pixels" or self.car is None:
            return super()._render(mode)
        texture = self._texture
        if self._touched:
            # In order: edges overlap, and a set's own order depends on the episodes before.
            for tile in sorted(self._touched):
                texture.visit(tile)
            self._touched.clear()
        if not self._draws:
            return self.state
        hull = self.car.hull
        x, y = hull.position
        texture.view(x, y, hull.angle, self.t)
        self._blender.blend(self.car.wheels, self.t)
        if self._panel is not None:
            self._panel.draw(self.car, self.reward)
        return cv2.cvtColor(self._canvas, cv2.COLOR_RGBA2RGB)
