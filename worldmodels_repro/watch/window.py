"""A window to watch an episode in, or to play it, at the game's own pace."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from worldmodels_repro.envs.game import Game
from worldmodels_repro.watch.film import Easel, every_of
from worldmodels_repro.watch.scene import Scene

ZOOM = 2  # window pixels a picture's


def has_display() -> bool:
    """Whether a window could be opened and seen."""
    if sys.platform == "linux" and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
        return False
    pygame = _pygame()
    try:
        pygame.display.init()
    except pygame.error:
        return False
    return pygame.display.get_driver() not in ("dummy", "offscreen")


def show(scene: Scene, game: Game, human: bool, name: str) -> list[np.ndarray]:
    """Play the scene in a window, to its end or until Escape or the window's closing.

    Args:
        scene: what is played.
        game: its pace, and what its keys do.
        human: whether the keyboard acts, or the scene's agent.
        name: what the caption calls the player.

    Returns:
        The pictures, (H, W, 3) uint8, that a film of it has.
    """
    pygame = _pygame()
    pygame.display.init()
    easel, clock = Easel(name), pygame.time.Clock()
    picture = easel.paint(scene)
    pictures = [picture]
    height, width = picture.shape[:2]
    window = pygame.display.set_mode((width * ZOOM, height * ZOOM))
    pygame.display.set_caption(f"{game.name}: {name}, Escape to leave")
    held: set[str] = set()
    over = False
    try:
        while not over:
            for event in pygame.event.get():
                if event.type == pygame.QUIT:
                    over = True
                elif event.type == pygame.KEYDOWN:
                    held.add(pygame.key.name(event.key))
                elif event.type == pygame.KEYUP:
                    held.discard(pygame.key.name(event.key))
            if over or "escape" in held:
                break
            over = scene.step(pressed(game, held) if human else scene.act())
            picture = easel.paint(scene)
            if over or scene.steps % every_of(game.fps) == 0:
                pictures.append(picture)
            surface = pygame.surfarray.make_surface(picture.swapaxes(0, 1))
            pygame.transform.scale(surface, window.get_size(), window)
            pygame.display.flip()
            clock.tick(game.fps)
    finally:
        pygame.display.quit()
        scene.close()
    return pictures


def pressed(game: Game, held: set[str]) -> np.ndarray:
    """The action (A,) of the keys that are held down."""
    action = np.zeros(game.actions, np.float32)
    for key in held & set(game.keys):
        action += game.keys[key]
    return np.clip(action, game.low, game.high)


def _pygame() -> Any:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    return pygame
