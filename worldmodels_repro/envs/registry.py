"""The games, by name: a row each."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any

import gymnasium
import numpy as np

from worldmodels_repro.envs import (
    car_racing,
    changed,
    classic,
    cube_crash,
    detector,
    pong,
    small,
    take_cover,
)
from worldmodels_repro.envs.game import Frames, Game, Renderer, Seen, of_choices
from worldmodels_repro.errors import UserError
from worldmodels_repro.plugins import is_plugin, named


def _require_gymnasium(renderer: Renderer) -> None:
    if renderer == "fast":
        try:
            car_racing.check_gymnasium()
        except RuntimeError as error:
            raise UserError(str(error)) from None


def _steer_gas_brake(values: np.ndarray) -> np.ndarray:
    """tanh outputs -> steer in [-1, 1], gas in [0, 1], brake in [0, 1] (released code)."""
    actions = values.astype(np.float32)
    actions[:, 1] = (actions[:, 1] + 1.0) / 2.0
    np.clip(actions[:, 2], 0.0, 1.0, out=actions[:, 2])
    return actions


def _choices(env: gymnasium.Env[Any, Any]) -> Frames:
    """The largest number of an action chooses; the observation is V's frame as it is."""
    return Seen(env, see=lambda frame: frame, act=np.argmax)


GAMES: dict[str, Game] = {game.name: game for game in (
    *classic.GAMES,
    *detector.GAMES,
    Game(
        name="car_racing",
        judge_id="CarRacing-v3",
        fast_id="worldmodels/CarRacingFast-v0",
        frames=lambda env: Seen(env, car_racing.crop_and_resize),
        require=_require_gymnasium,
        first_action="steering", other_actions=("gas", "brake"),
        low=np.array([-1.0, 0.0, 0.0], np.float32),
        high=np.array([1.0, 1.0, 1.0], np.float32),
        squash=_steer_gas_brake,
        mirrored=lambda actions: actions * np.array([-1.0, 1.0, 1.0], np.float32),
        changes={**changed.PICTURES, "friction": lambda env: changed.Slippery(env, 0.7)},
        # gymnasium's own: nothing, right, left, gas, brake
        choices=np.array([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 0.8]], np.float32),
        solved=900.0,
        milestones=(800.0, 850.0, 880.0, 900.0),
        max_steps=1000,
        keys={"left": (-1.0, 0.0, 0.0), "right": (1.0, 0.0, 0.0), "up": (0.0, 1.0, 0.0),
              "down": (0.0, 0.0, 0.8)},
    ),
    Game(
        name="take_cover",
        judge_id=take_cover.JUDGE,
        fast_id="worldmodels/TakeCoverFast-v0",
        frames=take_cover.TakeCover,
        require=lambda renderer: take_cover.require_vizdoom(),
        first_action="left or right",
        low=np.array([-1.0], np.float32),
        high=np.array([1.0], np.float32),
        squash=lambda outputs: outputs.astype(np.float32),
        taken=take_cover.thirds,
        mirrored=np.negative,
        choices=np.array([[-1], [0], [1]], np.float32),
        landmarks=take_cover.marked_take_cover,
        changes={**changed.PICTURES, "text": changed.repainted(changed.written)},
        solved=750.0,
        milestones=(400.0, 750.0, 1000.0),
        max_steps=take_cover.MAX_TICS,
        keys={"left": (-1.0,), "right": (1.0,)},
        fps=35,
    ),
    Game(
        name="pong",
        judge_id="worldmodels/Pong-v0",
        frames=_choices,
        first_action="both paddles stay",
        **of_choices(9),
        mirrored=pong.mirrored,
        scripted=pong.Follower,
        place=small.white_place,
        serve=pong.serve,
        solved=20.0,
        max_steps=1000,
        keys=pong.keys(),
        fps=30,
    ),
    Game(
        name="cube_crash",
        judge_id="worldmodels/CubeCrash-v0",
        frames=_choices,
        first_action="stay",
        **of_choices(3),
        mirrored=lambda actions: actions[..., [0, 2, 1]],
        scripted=cube_crash.Steerer,
        place=small.white_place,
        solved=0.9,
        max_steps=100,
        keys={"left": (0.0, 1.0, 0.0), "right": (0.0, 0.0, 1.0)},
        fps=10,
    ),
)}


@cache
def game_named(name: str) -> Game:
    """A game of the table, or the :class:`Game` at ``path/to/file.py:NAME``.

    ``name@n`` is that game with every action done n times, ``name+change`` the game in a changed
    world.

    Raises:
        UserError: there is none.
    """
    if changed_one := re.fullmatch(r"(.+)\+(\w+)", name):
        return game_named(changed_one[1]).with_change(changed_one[2])
    if repeated_one := re.fullmatch(r"(.+)@(\d+)", name):
        return game_named(repeated_one[1]).repeated(int(repeated_one[2]))
    game = named(name, GAMES, "game", Game)
    return replace(game, own=name) if is_plugin(name) else game
