"""The detector map: a cursor walks over what a detector read out, and draws what was there.

It sees windows of 5 by 5 pixels, of the source and of the map that is drawn, the canvas. At each
step a class vector is written where the cursor is, and it moves to one of the 8 pixels around. The
reward is what the next place shows: a point for each pixel of its window that reads out something,
0.09 for each that is not drawn yet; less 5 where all are, less 15 on a pixel that is empty. So
going back and forth in a dense place pays; in ``detector_onward`` going back costs 15, too. To
leave the margin, in which a window would not fit, is not allowed and ends the episode. (After
mmajewsk/gym-lartpc2d, where to stay ends it too: among the 8 moves there is no such.)
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import gymnasium
import numpy as np
from gymnasium import spaces

from worldmodels_repro.envs.detector_maps import CLASSES, MARGIN, Folder, Maps, Simulated
from worldmodels_repro.envs.game import Game, Seen, of_choices, one_of
from worldmodels_repro.frame import FRAME

WINDOW = 2 * MARGIN + 1  # its side
SEEN = 2 * WINDOW**2  # numbers of both windows
NEW, NOTHING_NEW, EMPTY = 0.09, -5.0, -15.0  # parts of the reward
MOVES = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))
VIEW = 32  # pixels of the map in a frame's side
COLOURS = np.array([[80, 80, 255], [255, 80, 80], [80, 255, 80]], np.uint8)  # of the classes
OUTSIDE = (40, 0, 40)
FAINT, FULL = 64, 300.0  # the darkest gray of what reads out something; counts that are white
ZOOM = 6  # of a rendering
SOLVED = 146.0  # the mean of Seeker on 400 held-out maps

Writes = Literal["truth", "random", "agent"]


class Detector(gymnasium.Env[np.ndarray, Any]):
    """The game.

    Observations are (50,) float32: the source's window, then the canvas's; where the agent writes,
    (78,): then come the source's window as it is and one of 3 for what is at the cursor.

    ``info`` of a step says of the pixel written what class it was given, ``wrote``, and which it
    is, ``truth``; and of the place moved to whether it had been drawn before, ``again``.

    Args:
        folder: of a user's maps; None for simulated ones.
        binarised: 1 for a pixel of a window that has something, 0 else; or its counts, and the
            largest number of the vector written there.
        writes: whose class vector is drawn: the truth's, a random one, or the last 3 numbers of
            the agent's actions; those are then (11,), where the first 8 choose the move.
        back: reward, beside that, of moving to a pixel that was drawn before; the log's is 0.
        render_mode: ``rgb_array`` or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 3}  # noqa: RUF012

    def __init__(self, folder: str | None = None, binarised: bool = True, writes: Writes = "truth",
                 back: float = 0.0, render_mode: str | None = None):
        self._maps = maps_of(folder)
        self._binarised, self._writes, self._back = binarised, writes, back
        self.render_mode = render_mode
        most = np.finfo(np.float32).max
        high = np.full(SEEN, 1.0 if binarised else most, np.float32)
        self.action_space: spaces.Space[Any] = spaces.Discrete(len(MOVES))
        if writes == "agent":
            high = np.concatenate([high, np.full(WINDOW**2, most), np.ones(len(CLASSES))],
                                  dtype=np.float32)
            self.action_space = spaces.Box(*JOINT_RANGES)
        self.observation_space = spaces.Box(np.zeros_like(high), high)

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin on a random pixel of a random map that reads out something."""
        super().reset(seed=seed)
        played = self._maps.played
        self.source, self.target = self._maps[int(self.np_random.integers(played.start,
                                                                          played.stop))]
        self.canvas = np.zeros((*self.source.shape, len(CLASSES)), np.float32)
        inside = self.source[MARGIN:-MARGIN, MARGIN:-MARGIN]
        places = np.argwhere(inside > 0) + MARGIN
        self.cursor = places[self.np_random.integers(len(places))]
        return self._state(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Write, then move."""
        at, agent = tuple(self.cursor), self._writes == "agent"
        move = int(np.argmax(action[:len(MOVES)])) if agent else int(action)
        truth = int(self.target[at])
        if agent:
            self.canvas[at] = action[len(MOVES):]
        elif self._writes == "random":
            self.canvas[at] = self.np_random.random(len(CLASSES))
        else:
            self.canvas[at] = np.eye(len(CLASSES))[truth]
        wrote = int(self.canvas[at].argmax())
        after = self.cursor + MOVES[move]
        left = bool((after < MARGIN).any() or (after >= np.array(self.source.shape) - MARGIN).any())
        if not left:
            self.cursor = after
        again = not left and bool(self.canvas[tuple(self.cursor)].any())
        return self._state(), self._reward() + self._back * again, left, False, {
            "wrote": wrote, "truth": truth, "again": again}

    def _reward(self) -> float:
        source, drawn = self._windows()
        new = int((~drawn).sum())
        return (int((source > 0).sum()) + NEW * new + (0.0 if new else NOTHING_NEW)
                + (EMPTY if source[MARGIN, MARGIN] == 0 else 0.0))

    def _windows(self) -> tuple[np.ndarray, np.ndarray]:
        """The source's (5, 5), and which pixels of it are drawn."""
        window = tuple(slice(at - MARGIN, at + MARGIN + 1) for at in self.cursor)
        return self.source[window], np.asarray(self.canvas[window].any(axis=-1))

    def _state(self) -> np.ndarray:
        source, drawn = self._windows()
        if self._binarised:
            seen = [source > 0, drawn]
        else:
            window = tuple(slice(at - MARGIN, at + MARGIN + 1) for at in self.cursor)
            seen = [source, self.canvas[window].max(axis=-1)]
        if self._writes == "agent":
            seen += [source, np.eye(len(CLASSES))[self.target[tuple(self.cursor)]]]
        return np.concatenate([part.ravel() for part in seen]).astype(np.float32)

    def frame(self) -> np.ndarray:
        """The 32 by 32 pixels around the cursor, twice as large, (64, 64, 3) uint8: the source in
        gray, and over it what is drawn, the most likely class by its colour, darker where the
        source is empty."""
        source, classes = self._view()
        picture = _gray(source)
        drawn = classes >= 0
        picture[drawn] = COLOURS[classes[drawn]] // np.where(source[drawn] > 0, 1, 2)[:, None]
        picture[source < 0] = OUTSIDE
        return _larger(picture, FRAME[0] // VIEW)

    def render(self) -> Any:
        """Source and canvas around the cursor side by side, its windows in white, (192, 384, 3)
        uint8; None without a render mode."""
        if self.render_mode is None:
            return None
        source, classes = self._view()
        drawn = np.where(classes[..., None] >= 0, COLOURS[classes], 0).astype(np.uint8)
        sides = []
        for side in (_gray(source), drawn):
            side[source < 0] = OUTSIDE
            picture = _larger(side, ZOOM)
            low, high = (VIEW // 2 - MARGIN) * ZOOM, (VIEW // 2 + MARGIN + 1) * ZOOM
            sides.append(cv2.rectangle(picture, (low, low), (high - 1, high - 1),
                                       (255, 255, 255)))
        return np.concatenate(sides, axis=1)

    def _view(self) -> tuple[np.ndarray, np.ndarray]:
        """Around the cursor: the source (32, 32), -1 outside of the map, and the most likely
        class, -1 where nothing is drawn."""
        half = VIEW // 2
        classes = np.where(self.canvas.any(axis=-1), self.canvas.argmax(axis=-1), -1)
        view = tuple(slice(at, at + VIEW) for at in self.cursor)
        return (np.pad(self.source, half, constant_values=-1.0)[view],
                np.pad(classes, half, constant_values=-1)[view])


def _gray(source: np.ndarray) -> np.ndarray:
    """Counts (H, W) -> gray (H, W, 3) uint8, black where there are none."""
    shade = np.where(source > 0, FAINT + (255 - FAINT) * np.minimum(source / FULL, 1.0), 0.0)
    return shade.astype(np.uint8)[..., None].repeat(3, axis=-1)


def _larger(picture: np.ndarray, times: int) -> np.ndarray:
    return np.ascontiguousarray(picture.repeat(times, axis=0).repeat(times, axis=1))


class Seeker:
    """Goes to a pixel around that reads out something and is not drawn, else to one that reads out
    something, else to any.

    Args:
        rng: its own, for one episode.
        share: of its steps that are uniformly random choices in place of that.
        writes: whether a random class vector belongs to its actions.
    """

    def __init__(self, rng: np.random.Generator, share: float, writes: bool = False):
        self._rng, self._share, self._writes = rng, share, writes

    def act(self, frame: np.ndarray) -> np.ndarray:
        """A frame (64, 64, 3) -> the move's action, (8,) or (11,)."""
        middle = VIEW // 2
        around = np.array([frame[2 * (middle + y), 2 * (middle + x)] for y, x in MOVES], int)
        gray = (around.min(axis=1) == around.max(axis=1)) & (around.max(axis=1) > 0)
        something = gray | (around.max(axis=1) == COLOURS.max())
        best = next((places for places in (gray, something) if places.any()),
                    np.ones(len(MOVES), bool))
        if self._rng.random() < self._share:
            best = np.ones(len(MOVES), bool)
        action = np.eye(len(MOVES), dtype=np.float32)[self._rng.choice(np.flatnonzero(best))]
        if not self._writes:
            return action
        return np.concatenate([action, self._rng.random(len(CLASSES))], dtype=np.float32)


def maps_of(folder: str | None) -> Maps:
    """A folder's maps, or simulated ones.

    Raises:
        UserError: the folder holds none, or some that don't fit.
    """
    return Simulated() if folder is None else Folder(folder)


def keys() -> dict[str, tuple[float, ...]]:
    """Arrow keys; two at once add up."""
    arrows = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
    return {key: tuple(0.4 * (y * move[0] + x * move[1] > 0) + 0.1 * (
        (x if y == 0 else y) != 0 and move[1 if x == 0 else 0] == 0) for move in MOVES)
        for key, (y, x) in arrows.items()}


def game(name: str, folder: str | None = None, binarised: bool = True,
         writes: Writes = "truth", back: float = 0.0) -> Game:
    """A row: the game on simulated maps, or on those in a user's ``folder``; as in
    :class:`Detector`."""
    settings = {"folder": folder, "binarised": binarised, "writes": writes, "back": back}
    shared: dict[str, Any] = {
        "name": name, "judge_id": "worldmodels/Detector-v0", "settings": settings, "solved": SOLVED,
        "max_steps": 14, "fps": 3, "maps": lambda: maps_of(folder), "first_action": "up and left",
        "other_actions": ("up", "up and right", "left", "right", "down and left", "down",
                          "down and right", *(CLASSES if writes == "agent" else ()))}
    if writes != "agent":
        return Game(**shared, **of_choices(len(MOVES)), state=SEEN, scripted=Seeker, keys=keys(),
                    frames=lambda env: Seen(env, lambda state: _frame(env), np.argmax))
    low, high = JOINT_RANGES
    return Game(**shared, low=low, high=high, state=SEEN + WINDOW**2 + len(CLASSES),
                choices=np.concatenate([np.eye(len(MOVES)), np.full(
                    (len(MOVES), len(CLASSES)), 1 / len(CLASSES))], axis=1).astype(np.float32),
                joint=(SEEN, WINDOW**2, len(CLASSES)),
                taken=lambda actions: np.concatenate(
                    [one_of(actions[..., :len(MOVES)]), actions[..., len(MOVES):]], axis=-1),
                scripted=lambda rng, share: Seeker(rng, share, writes=True),
                frames=lambda env: Seen(env, lambda state: _frame(env)))


def _frame(env: gymnasium.Env[Any, Any]) -> np.ndarray:
    detector = env.unwrapped
    assert isinstance(detector, Detector)
    return detector.frame()


JOINT_RANGES = (np.array([-1.0] * len(MOVES) + [0.0] * len(CLASSES), np.float32),
                np.ones(len(MOVES) + len(CLASSES), np.float32))

GAMES = (
    game("detector"),
    game("detector_onward", back=EMPTY),
    game("detector_random", writes="random"),
    game("detector_raw", binarised=False),
    game("detector_joint", writes="agent"),
)
