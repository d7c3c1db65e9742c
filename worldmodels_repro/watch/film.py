"""An episode as an animation: of the game with what V makes of it, or of a dream."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.contracts import Representation
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.run import Run
from worldmodels_repro.storage import needed
from worldmodels_repro.watch.animation import check_suffix, write_animation
from worldmodels_repro.watch.scene import GameScene, Scene
from worldmodels_repro.worlds.episodes import Policy

EVERY, PACE = 10, 2.0  # a picture of every tenth step, at twice real time
SLOW = 10  # steps a second: all steps of games with fewer are shown
SIDE = 192  # pixels: V's frames, three times as large, and the game's height
MARGIN, LINE = 8, 18
LEAST_WIDTH = 400  # for the caption


@dataclass
class Film:
    """Pictures of one episode, and what it came to."""

    score: float = 0.0
    steps: int = 0
    pictures: list[np.ndarray] = field(default_factory=list)


def record(run: Run, policy: Policy, seed: int, path: Path, max_steps: int,
           name: str = "agent") -> Film:
    """Play one episode of the unmodified game and write it as an animation of less than 3 MB.

    Args:
        run: whose V looks on, if it has one.
        policy: acts on frames, or on the game's states where the run has no V; in one slot.
        seed: the episode's: its track.
        path: the file, ``.webp`` or ``.gif``.
        max_steps: the episode is cut after so many steps.
        name: what the caption calls the player.

    Returns:
        The episode's score and steps, and the pictures, each (H, W, 3) uint8.

    Raises:
        UserError: the run holds no V, or the path names no animation.
    """
    vision = vision_of(run)
    game = game_named(run.config.game)
    return film(GameScene(game, vision, policy, seed, max_steps, states_of(run)), path, name,
                game.fps)


def states_of(run: Run) -> bool:
    """Whether a run's C sees the game's own state."""
    return run.config.controller.inputs == ("o",)


def vision_of(run: Run) -> Representation | None:
    """A run's V; None where its C sees the game without one.

    Raises:
        UserError: V is missing.
    """
    if not run.config.controller.sees_v:
        return None
    needed(run.folder("vae") / "weights.npz", "vae")
    return load_vision(run.path, run.config.vae.layers)


def every_of(fps: int) -> int:
    """Steps from one picture to the next of a game of ``fps`` steps a second."""
    return EVERY if fps >= SLOW else 1


def frame_time(fps: int, every: int | None = None) -> int:
    """Milliseconds that a film shows each picture of a game of ``fps`` steps a second."""
    return round(1000 * (every or every_of(fps)) / fps / PACE)


def film(scene: Scene, path: Path, name: str, fps: int, every: int | None = None) -> Film:
    """Let the scene's agent act to the episode's end, and write that as :func:`record` does: a
    picture of every tenth step, or of every ``every``-th."""
    check_suffix(path)
    every = every or every_of(fps)
    easel, shot, over = Easel(name), Film(), False
    shot.pictures.append(easel.paint(scene))
    while not over:
        over = scene.step(scene.act())
        if over or scene.steps % every == 0:
            shot.pictures.append(easel.paint(scene))
    scene.close()
    shot.score, shot.steps = scene.score, scene.steps
    write_animation(path, shot.pictures, frame_time(fps, every))
    return shot


class Easel:
    """Puts the views of a step and a caption into one picture."""

    def __init__(self, name: str):
        self._name = name
        self._font = ImageFont.load_default(12)  # Pillow's own: the same picture everywhere

    def paint(self, scene: Scene) -> np.ndarray:
        """The scene as it is now: a picture (H, W, 3) uint8, of one size throughout."""
        panels = {title: _scaled(view) for title, view in scene.panels().items()}
        width = sum(panel.shape[1] + MARGIN for panel in panels.values()) + MARGIN
        size = (max(width, LEAST_WIDTH), 2 * MARGIN + 2 * LINE + SIDE)
        picture = Image.new("RGB", size, "white")
        draw = ImageDraw.Draw(picture)
        left, top = MARGIN, MARGIN + LINE
        for title, panel in panels.items():
            draw.text((left, top - 3), title, "black", self._font, anchor="ls")
            picture.paste(Image.fromarray(panel), (left, top))
            left += panel.shape[1] + MARGIN
        baseline = top + SIDE + LINE - 3
        draw.text((MARGIN, baseline), self._name, "black", self._font, anchor="ls")
        # Right-aligned in places of their own, so that growing numbers do not push each other.
        for place, text in ((size[0] - MARGIN - 110, f"step {scene.steps}"),
                            (size[0] - MARGIN, f"score {scene.score:.0f}")):
            draw.text((place, baseline), text, "black", self._font, anchor="rs")
        return np.asarray(picture)


def _scaled(view: np.ndarray) -> np.ndarray:
    """To one height: V's frames three times as large, pixel by pixel, the game's as smooth."""
    height, width = view.shape[:2]
    if SIDE % height == 0:
        size, way = (width * SIDE // height, SIDE), cv2.INTER_NEAREST
    else:
        size, way = (round(width * SIDE / height), SIDE), cv2.INTER_AREA
    return cv2.resize(view, size, interpolation=way)
