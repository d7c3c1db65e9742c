"""Atari's Enduro: overtake. `worldmodels new-game` wrote this; crop, choices and numbers changed.

    worldmodels check-game examples/games/enduro.py
    worldmodels all examples/games/enduro.yaml --run logs/enduro

Worker processes import this file too: what the game needs belongs in here.
"""

import ale_py
import gymnasium
import numpy as np

from worldmodels_repro.envs.game import Game, Seen, of_choices, resized

gymnasium.register_envs(ale_py)

CHOICES = (1, 7, 8)  # FIRE, RIGHTFIRE, LEFTFIRE of its nine: always on the gas


def see(observation: np.ndarray) -> np.ndarray:
    """What V sees, (64, 64, 3) uint8: each pixel is the mean over its area."""
    picture = observation
    picture = picture[52:156, 8:160]  # the road, without sky and numbers,
    return resized(picture)  # for V has 64 x 64 pixels to see it with


def act(action: np.ndarray) -> int:
    """C's numbers, (3,), one for each choice: the largest chooses."""
    return CHOICES[int(np.argmax(action))]


GAME = Game(
    name="enduro",
    judge_id="ALE/Enduro-v5",
    frames=lambda env: Seen(env, see, act),
    **of_choices(3),
    first_action="straight",
    solved=30.0,  # cars overtaken; who never steers gets 5
    max_steps=600,  # of the longest episode that is judged
    keys={  # what each adds to the action of a person who plays
        "right": (0.0, 1.0, 0.0),
        "left": (0.0, 0.0, 1.0),
    },
    fps=30,  # steps a second for those who watch or play
)
