"""gymnasium's small games: their observation is their state, their frame is what they render.

CartPole, Acrobot and Pendulum are its classic control, the lunar landers its Box2D. In those of
choices an action has a number for each choice, and the largest chooses.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import gymnasium
import numpy as np

from worldmodels_repro.envs.game import Frames, Game, Seen, of_choices, resized

if sys.platform == "linux" and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
    # They draw into memory, but start SDL as a whole, which would complain of the missing display.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def _drawn(env: gymnasium.Env[Any, Any]) -> Frames:
    """Frames are renderings, made without a display."""
    return Seen(env, lambda state: resized(np.asarray(env.render())))


def _drawn_choices(env: gymnasium.Env[Any, Any]) -> Frames:
    return Seen(env, lambda state: resized(np.asarray(env.render())), np.argmax)


GAMES = (
    Game(
        name="cart_pole", judge_id="CartPole-v1", state=4, frames=_drawn_choices, **of_choices(2),
        first_action="push to the left", solved=475.0, max_steps=500,
        keys={"left": (1.0, 0.0), "right": (0.0, 1.0)}, fps=50,
    ),
    Game(
        name="acrobot", judge_id="Acrobot-v1", state=6, frames=_drawn_choices, **of_choices(3),
        first_action="torque to the left", solved=-100.0, max_steps=500,
        keys={"left": (1.0, 0.0, 0.0), "up": (0.0, 1.0, 0.0), "right": (0.0, 0.0, 1.0)}, fps=15,
    ),
    Game(
        name="pendulum", judge_id="Pendulum-v1", state=3, frames=_drawn, first_action="torque",
        low=np.array([-2.0], np.float32), high=np.array([2.0], np.float32),
        solved=-200.0, max_steps=200, keys={"left": (2.0,), "right": (-2.0,)}, fps=30,
    ),
    Game(
        name="lunar_lander", judge_id="LunarLander-v3", state=8, frames=_drawn_choices,
        **of_choices(4),
        first_action="no engine", solved=200.0, max_steps=1000,
        keys={"left": (0.0, 1.0, 0.0, 0.0), "up": (0.0, 0.0, 1.0, 0.0),
              "right": (0.0, 0.0, 0.0, 1.0)}, fps=50,
    ),
    Game(
        name="lunar_lander_continuous", judge_id="LunarLanderContinuous-v3", state=8, frames=_drawn,
        first_action="main engine", low=np.full(2, -1.0, np.float32), high=np.ones(2, np.float32),
        solved=200.0, max_steps=1000,
        keys={"left": (0.0, -1.0), "up": (1.0, 0.0), "right": (0.0, 1.0)}, fps=50,
    ),
)
