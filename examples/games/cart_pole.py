"""CartPole as it looks. `worldmodels new-game` wrote this; two lines changed.

    worldmodels check-game examples/games/cart_pole.py
    worldmodels all examples/games/cart_pole.yaml --run logs/cart_pole

Worker processes import this file too: what the game needs belongs in here.
"""

import gymnasium
import numpy as np

from worldmodels_repro.envs.game import Game, Seen, of_choices, resized


def see(env: gymnasium.Env) -> np.ndarray:
    """What V sees, (64, 64, 3) uint8: each pixel is the mean over its area."""
    picture = np.asarray(env.render())
    picture = picture[160:320, 100:500]  # pole and cart, and where they mostly are,
    return resized(picture)  # for V has 64 x 64 pixels to see it with


def act(action: np.ndarray) -> int:
    """C's numbers, (2,), one for each choice: the largest chooses."""
    return int(np.argmax(action))


GAME = Game(
    name="cart_pole_seen",
    judge_id="CartPole-v1",
    frames=lambda env: Seen(env, lambda observation: see(env), act),
    state=4,  # numbers in the observation: C may see them in place of V, controller.inputs=[o]
    **of_choices(2),  # choice 0, choice 1
    first_action="choice 0",
    solved=475.0,  # the score that counts as solved
    max_steps=500,  # of the longest episode that is judged
    keys={  # what each adds to the action of a person who plays
        "1": (1.0, 0.0),
        "2": (0.0, 1.0),
    },
    fps=50,  # steps a second for those who watch or play
)
