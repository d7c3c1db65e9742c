"""The real game as an animation: the game, what V sees of it, and what V makes of that."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worldmodels_repro.envs.policies import RandomPolicy
from worldmodels_repro.envs.registry import GAMES, Game
from worldmodels_repro.figures.gif_file import write_gif
from worldmodels_repro.figures.style import needed
from worldmodels_repro.models.runtime import Decoder, Encoder
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.run import Run

EVERY, PACE = 10, 2.0  # a picture of every tenth step, at twice real time
SIDE = 192  # pixels: V's frames, three times as large, and the game's height
MARGIN, LINE = 8, 18


@dataclass
class Film:
    """Pictures of one episode, and what it came to."""

    score: float = 0.0
    steps: int = 0
    pictures: list[np.ndarray] = field(default_factory=list)


class UniformlyRandom:
    """A uniform action at every step: the player that agents are compared with."""

    def __init__(self, game: Game, rng: np.random.Generator):
        self._game, self._rng = game, rng

    def act(self, frame: np.ndarray) -> np.ndarray:
        """One action (A,), whatever the frame."""
        return self._rng.uniform(self._game.low, self._game.high).astype(np.float32)


def record(run: Run, player: RandomPolicy, seed: int, path: Path, max_steps: int,
           name: str = "agent") -> Film:
    """Play one episode of the unmodified game and write it as a GIF of less than 3 MB.

    Args:
        run: whose V looks on.
        player: acts on frames (64, 64, 3) uint8.
        seed: the episode's: its track.
        path: the GIF.
        max_steps: the episode is cut after so many steps.
        name: what the caption calls the player.

    Returns:
        The episode's score and steps, and the pictures, each (H, W, 3) uint8.

    Raises:
        UserError: the run holds no V.
    """
    weights = load_weights(needed(run.folder("vae") / "weights.npz", "vae"))
    game = GAMES[run.config.game]
    easel = _Easel(Encoder(weights, 1), Decoder(weights, 1), name)
    env = game.make("original", render_mode="rgb_array")
    film, over = Film(), False
    frame, _ = env.reset(seed=seed)
    film.pictures.append(easel.paint(env.render(), frame, film))
    while not over:
        frame, reward, terminated, truncated, _ = env.step(player.act(frame))
        film.score, film.steps = film.score + float(reward), film.steps + 1
        over = terminated or truncated or film.steps >= max_steps
        if over or film.steps % EVERY == 0:
            film.pictures.append(easel.paint(env.render(), frame, film))
    env.close()
    write_gif(path, film.pictures, round(1000 * EVERY / game.fps / PACE))
    return film


class _Easel:
    """Puts the three views of a step and a caption into one picture."""

    def __init__(self, encoder: Encoder, decoder: Decoder, name: str):
        self._encoder, self._decoder, self._name = encoder, decoder, name
        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        self._font = ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), 12)

    def paint(self, game: Any, frame: np.ndarray, film: Film) -> np.ndarray:
        """The game (h, w, 3), V's frame (64, 64, 3) -> a picture (H, W, 3), all uint8."""
        view = np.asarray(game)
        width = round(view.shape[1] * SIDE / view.shape[0])
        mu, _ = self._encoder.encode(frame[None])
        again = self._decoder.decode(mu.copy())[0]
        panels = {"the game": cv2.resize(view, (width, SIDE), interpolation=cv2.INTER_AREA),
                  "what V sees": _enlarged(frame), "V's reconstruction": _enlarged(again)}
        size = (sum(panel.shape[1] + MARGIN for panel in panels.values()) + MARGIN,
                2 * MARGIN + 2 * LINE + SIDE)
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
        for place, text in ((size[0] - MARGIN - 110, f"step {film.steps}"),
                            (size[0] - MARGIN, f"score {film.score:.0f}")):
            draw.text((place, baseline), text, "black", self._font, anchor="rs")
        return np.asarray(picture)


def _enlarged(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
