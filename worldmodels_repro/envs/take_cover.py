"""Doom's TakeCover: what V sees of it, and what C's one number means there.

The game is ViZDoom's own, skill 4, a tic a step, +1 for each. It has no time limit; here, as in
the paper, an episode is cut after 2,100 tics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import gymnasium
import numpy as np

from worldmodels_repro.envs.doom_engine import start_engine
from worldmodels_repro.extras import require

JUDGE = "VizdoomTakeCover-v1"
MAX_TICS = 2100
SCREEN = (240, 320, 3)
CROP_ROWS = 200  # of 240: the paper's rows 0 to 399 of 480
SIZE = 64
STAY, RIGHT, LEFT = 0, 1, 2  # the judge's actions
BUTTONS = ([0, 0], [0, 1], [1, 0])  # the same as presses of MOVE_LEFT, MOVE_RIGHT
THIRD = 1.0 / 3.0


def require_vizdoom() -> None:
    """Register the judge's environment.

    Raises:
        MissingExtraError: ViZDoom is not installed.
    """
    require("doom")
    import vizdoom.gymnasium_wrapper  # noqa: F401 (registers it)


def crop_and_resize(screen: np.ndarray) -> np.ndarray:
    """Reduce a screen (240, 320, 3) uint8 to what V sees, (64, 64, 3) uint8.

    Rows 0 to 199 are kept. A pixel is the mean over 5 columns and 3 rows around its place,
    which is 5 columns by 3.125 rows large: within 0.3 of 255 of the exact mean over areas, the
    mean over a frame's pixels, and 2.5 times as fast.

    Raises:
        ValueError: the screen has another shape or type.
    """
    if screen.shape != SCREEN or screen.dtype != np.uint8:
        raise ValueError(f"screen must be uint8 {SCREEN}, got {screen.dtype} {screen.shape}")
    means = cv2.blur(screen[:CROP_ROWS], (5, 3))
    return cv2.resize(means, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def step_of(action: np.ndarray) -> int:
    """C's number (1,) in [-1, 1] as the judge's action: left below -1/3, right above 1/3."""
    value = action[0]
    return LEFT if value < -THIRD else RIGHT if value > THIRD else STAY


def thirds(actions: np.ndarray) -> np.ndarray:
    """C's numbers (..., 1) as the game takes them: -1 for left, 1 for right, 0 for neither."""
    return np.where(np.abs(actions) > THIRD, np.sign(actions), 0.0).astype(np.float32)


class TakeCover(gymnasium.Wrapper[np.ndarray, np.ndarray, Any, Any]):
    """The judge's environment with V's frames as observations and C's number as action.

    ViZDoom has no picture of the tic that ends an episode, and gives zeros: the last one there
    was stands in for it, so that neither V nor M ever meets a black frame.

    Args:
        env: ``VizdoomTakeCover-v1``, as gymnasium makes it.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]):
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self._game: Any = env.unwrapped.game  # type: ignore[attr-defined]
        self._frame = np.zeros((SIZE, SIZE, 3), np.uint8)
        self._screen = np.zeros(SCREEN, np.uint8)

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; the first one starts the engine."""
        if not self._game.is_running():
            start_engine(self._game)
        observation, info = self.env.reset(seed=seed, options=options)
        return self._see(observation["screen"]), info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One tic."""
        pressed: Any = step_of(action)
        observation, reward, terminated, truncated, info = self.env.step(pressed)
        frame = self._frame if terminated else self._see(observation["screen"])
        return frame, float(reward), terminated, truncated, info

    def render(self) -> Any:
        """The screen that was seen last, (240, 320, 3) uint8."""
        return self._screen

    def _see(self, screen: np.ndarray) -> np.ndarray:
        self._screen = screen
        self._frame = crop_and_resize(screen)
        return self._frame


class FastTakeCover(TakeCover):
    """The same frames, rewards and endings, bit for bit, by ViZDoom's own calls.

    What is left out is the judge's checking and packing, a tenth of a step.
    """

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One tic."""
        return self.repeat_step(action, 1)

    def repeat_step(self, action: np.ndarray,
               times: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """So many tics of one action; only the last is drawn."""
        reward = self._game.make_action(BUTTONS[step_of(action)], times)
        terminated = self._game.is_episode_finished()
        frame = self._frame if terminated else self._see(self._game.get_state().screen_buffer)
        return frame, reward, terminated, False, {}


@dataclass(frozen=True)
class Landmark:
    """A thing in a frame that C must see.

    Attributes:
        cover: (64, 64) float32, the share of each of V's pixels that it covers.
        distance: from the player, in the game's units.
        aside: how far it is off the player's line, in the same units.
    """

    cover: np.ndarray
    distance: float
    aside: float


class MarkedTakeCover(FastTakeCover):
    """The same game with ViZDoom's own list of where its fireballs are (for audits, not for C)."""

    def __init__(self, env: gymnasium.Env[Any, Any]):
        super().__init__(env)
        self._game.set_labels_buffer_enabled(True)
        self._game.set_objects_info_enabled(True)

    def landmarks(self) -> list[Landmark]:
        """The fireballs of the frame that was seen last."""
        state = self._game.get_state()
        player = next(thing for thing in state.objects if thing.name == "DoomPlayer")
        return [Landmark(
            cv2.resize((state.labels_buffer[:CROP_ROWS] == label.value).astype(np.float32),
                       (SIZE, SIZE), interpolation=cv2.INTER_AREA),
            float(np.hypot(label.object_position_x - player.position_x,
                           label.object_position_y - player.position_y)),
            float(abs(label.object_position_y - player.position_y)))
            for label in state.labels if label.object_name == "DoomImpBall"]


def marked_take_cover() -> MarkedTakeCover:
    """Make a :class:`MarkedTakeCover`."""
    require_vizdoom()
    return MarkedTakeCover(gymnasium.make(JUDGE, disable_env_checker=True).unwrapped)


def fast_take_cover(render_mode: str | None = None) -> FastTakeCover:
    """Make a :class:`FastTakeCover`; gymnasium's registry calls this."""
    require_vizdoom()
    env = gymnasium.make(JUDGE, disable_env_checker=True, render_mode=render_mode)
    return FastTakeCover(env.unwrapped)
