"""Atari's Freeway: a chicken crosses a road. `worldmodels new-game` wrote this.

    worldmodels check-game examples/games/freeway.py
    worldmodels all examples/games/freeway.yaml --run logs/freeway

Worker processes import this file too: what the game needs belongs in here.
"""

import ale_py
import gymnasium
import numpy as np

from worldmodels_repro.envs.game import Game, Seen, of_choices, resized

gymnasium.register_envs(ale_py)


def see(observation: np.ndarray) -> np.ndarray:
    """What V sees, (64, 64, 3) uint8: each pixel is the mean over its area."""
    picture = observation
    picture = picture[15:195, 8:96]  # from kerb to kerb, around the left chicken,
    return resized(picture)  # for V has 64 x 64 pixels to see it with


def act(action: np.ndarray) -> int:
    """C's numbers, (3,), one for each choice: the largest chooses."""
    return int(np.argmax(action))


GAME = Game(
    name="freeway",
    judge_id="ALE/Freeway-v5",
    frames=lambda env: Seen(env, see, act),
    **of_choices(3),  # NOOP, UP, DOWN
    first_action="noop",
    solved=8.0,  # crossings; who always goes up gets 7
    max_steps=500,  # of the longest episode that is judged
    keys={  # what each adds to the action of a person who plays
        "up": (0.0, 1.0, 0.0),
        "down": (0.0, 0.0, 1.0),
    },
    fps=30,  # steps a second for those who watch or play
)
