"""The car of a CarRacing picture, blended from prepared sprites.

The camera turns and moves with the car, so the hull never changes and each wheel shows only its
turn and its roll. All of them are drawn once in a process, at the resolution of gymnasium's
surface and with its integer corners, and averaged down as a frame is.

Facts about the car (shapes, colours, order of drawing, the stripe that shows a wheel's roll) are
those of gymnasium's `envs/box2d/car_dynamics.py`.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from gymnasium.envs.box2d import car_dynamics as dynamics
from gymnasium.envs.box2d import car_racing as upstream
from numpy.typing import NDArray

from worldmodels_repro.envs.car_drawing import CAMERA_X, CAMERA_Y, Image, View, shown, zoom_at

ANGLES, MAX_ANGLE = 17, 0.42  # steps and range of a front wheel's drawn turn, radians
PHASES = 16  # steps of a wheel's drawn roll
# The sprites are drawn at surface resolution on a block that all three grids share:
# 250x175 surface pixels, 24x21 frame pixels, 16x16 pixels of a cropped picture.
BLOCK_X, BLOCK_Y, BLOCK_W, BLOCK_H = 375, 525, 250, 175
BLOCK_IN_FRAME = (24, 21)
HULL_COLOR = (204, 0, 0)
STRIPE = 1.2  # radians of a wheel's circumference

Color = tuple[int, int, int]


class CarSprite:
    """Prepared pictures of the car: how much of the ground shows, and what is added to it.

    Both are float32 (ANGLES * PHASES * 4, 5, 2, 3) in a cropped picture: states of four quarters
    each (front left, front right, rear left, rear right), then rows, columns and channels. Shared
    by every environment with that view.
    """

    def __init__(self, view: View) -> None:
        states = [
            _car((2 * a / (ANGLES - 1) - 1) * MAX_ANGLE, roll, zoom_at(1), view)
            for a in range(ANGLES)
            for roll in ((p + 0.5) * math.tau / PHASES for p in range(PHASES))
        ]
        self.ground = np.concatenate([ground for ground, _ in states])
        self.paint = np.concatenate([paint for _, paint in states])
        steps = upstream.FPS
        self.zooming = [_car(0.0, 0.0, zoom_at(k / steps), view) for k in range(steps + 1)]


def _car(
    turn: float, phase: float, zoom: float, view: View
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw a car whose wheels share one turn and one roll, and average it down.

    Args:
        turn: of the front wheels, radians.
        phase: of every wheel's roll, radians.
        zoom: surface pixels a world unit.
        view: of the picture that it goes into.

    Returns:
        Ground and paint, each (4, quarter_h, quarter_w, 3) float32.
    """
    # red, green, blue, and the ground that shows
    block = np.zeros((BLOCK_H, BLOCK_W, 4), np.uint8)
    block[..., 3] = 255
    for points, color in _outlines(turn, phase):
        corners = points * (dynamics.SIZE * zoom) + (CAMERA_X, upstream.WINDOW_H - CAMERA_Y)
        x, y = np.trunc(corners).T  # as pygame does; the surface is flipped later
        rows = upstream.WINDOW_H - 1 - y
        pixels = np.stack([x - BLOCK_X, rows - BLOCK_Y], axis=1).astype(np.int32)
        cv2.fillPoly(block, [pixels], shown(*color))
    frame = cv2.resize(block.astype(np.float32), BLOCK_IN_FRAME, interpolation=cv2.INTER_AREA)
    size = (round(BLOCK_W / view.pixel_w), round(BLOCK_H / view.pixel_h))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    top = view.car_top - round(BLOCK_Y / view.pixel_h)
    left = view.car_left - round(BLOCK_X / view.pixel_w)
    h, w = view.quarter_h, view.quarter_w
    patch = small[top : top + 2 * h, left : left + 2 * w]
    split = patch.reshape(2, h, 2, w, 4).transpose(0, 2, 1, 3, 4)
    quarters = split.reshape(4, h, w, 4)
    ground = np.repeat(quarters[..., 3:] / np.float32(255), 3, axis=-1)
    # the half rounds a sum that is cut to a whole number in the end
    return ground, quarters[..., :3] + np.float32(0.5)


def _outlines(turn: float, phase: float) -> Iterator[tuple[NDArray[np.float64], Color]]:
    """Yield a car's (k, 2) outlines in its own units, ahead being +y, in drawing order."""
    half_w, half_h = dynamics.WHEEL_W, dynamics.WHEEL_R
    stripe = _stripe(phase)
    for i, centre in enumerate(dynamics.WHEELPOS):
        angle = turn if i < 2 else 0.0
        cos, sin = math.cos(angle), math.sin(angle)
        rotation = np.array([[cos, sin], [-sin, cos]])
        parts = [(1.0, -1.0, dynamics.WHEEL_COLOR)]
        if stripe is not None:
            parts.append((*stripe, dynamics.WHEEL_WHITE))
        for y0, y1, color in parts:
            box = [(-half_w, y0 * half_h), (half_w, y0 * half_h)]
            box += [(half_w, y1 * half_h), (-half_w, y1 * half_h)]
            yield np.array(box) @ rotation + np.array(centre), color
    for hull in (
        dynamics.HULL_POLY1,
        dynamics.HULL_POLY2,
        dynamics.HULL_POLY3,
        dynamics.HULL_POLY4,
    ):
        yield np.array(hull, np.float64), HULL_COLOR


def _stripe(phase: float) -> tuple[float, float] | None:
    """Both ends of a rolled wheel's stripe, in wheel radii; None when it is on the far side."""
    start, end = phase, phase + STRIPE
    start_hidden, end_hidden = math.sin(start) > 0, math.sin(end) > 0
    if start_hidden and end_hidden:
        return None
    y0, y1 = math.cos(start), math.cos(end)
    return (
        math.copysign(1.0, y0) if start_hidden else y0,
        math.copysign(1.0, y1) if end_hidden else y1,
    )


@cache
def car_sprite(view: View) -> CarSprite:
    """The process's sprites, made at the first call."""
    return CarSprite(view)


class CarBlender:
    """Puts the car on a four-channel picture, always the same one."""

    def __init__(self, view: View, canvas: Image) -> None:
        top, left, h, w = view.car_top, view.car_left, view.quarter_h, view.quarter_w
        patch = canvas[top : top + 2 * h, left : left + 2 * w, :3]
        split = patch.reshape(2, h, 2, w, 3)  # a view: only axes are split
        self._patch = split.transpose(0, 2, 1, 3, 4).view()  # (2, 2, h, w, 3)
        self._sprite = car_sprite(view)
        self._states = np.empty(4, np.intp)
        self._ground = np.empty((4, h, w, 3), np.float32)
        self._paint = np.empty_like(self._ground)
        self._mixed = np.empty(self._patch.shape, np.float32)

    def blend(self, wheels: Sequence[Any], t: float) -> None:
        """Draw a car, `t` seconds into the episode.

        Args:
            wheels: gymnasium's four wheels: front left, front right, rear left, rear right.
            t: seconds; in the first one the car is small and its wheels are drawn straight.
        """
        ground, paint, mixed = self._ground, self._paint, self._mixed
        if t < 1.0:
            ground, paint = self._sprite.zooming[round(t * upstream.FPS)]
        else:
            states = self._states
            left, right, rear_left, rear_right = wheels
            states[0] = wheel_state(left.joint.angle, left.phase)
            states[1] = wheel_state(right.joint.angle, right.phase) + 1
            states[2] = wheel_state(0.0, rear_left.phase) + 2
            states[3] = wheel_state(0.0, rear_right.phase) + 3
            self._sprite.ground.take(states, 0, ground, "clip")
            self._sprite.paint.take(states, 0, paint, "clip")
        np.multiply(self._patch, ground.reshape(mixed.shape), mixed)
        np.add(mixed, paint.reshape(mixed.shape), mixed)
        self._patch[...] = mixed


def wheel_state(turn: float, phase: float) -> int:
    """The first of the four quarters whose wheel is turned and rolled by so many radians."""
    step = int((turn + MAX_ANGLE) * ((ANGLES - 1) / (2 * MAX_ANGLE)) + 0.5)
    return 4 * (step * PHASES + int(phase * (PHASES / math.tau) % PHASES))
