"""What a worker does: play controllers in a world that it keeps from task to task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from worldmodels_repro.envs.game import Renderer
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.evolution.practice import Practice, practise
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.pool import Pool
from worldmodels_repro.worlds.agent import Body
from worldmodels_repro.worlds.dream import Dream, DreamWorld, load_dream
from worldmodels_repro.worlds.episodes import EndingWorld, Played, play
from worldmodels_repro.worlds.forward import ForwardDream, ForwardWorld, load_forward_dream
from worldmodels_repro.worlds.frames import FramesWorld, StacksWorld, StatesWorld
from worldmodels_repro.worlds.real import RealWorld

if TYPE_CHECKING:
    from worldmodels_repro.config import Config  # workers need no settings
    from worldmodels_repro.sections import World


@dataclass(frozen=True)
class WorldSpec:
    """How a worker builds its world: the real game, or, where there is a dream, that.

    M's dream is of what C sees; a network's is of frames, which are seen as the game's are.
    """

    body: Body
    renderer: Renderer
    slots: int
    dream: Dream | ForwardDream | None = None

    def build(self) -> EndingWorld:
        """The world."""
        if isinstance(self.dream, Dream):
            return DreamWorld(self.dream, self.slots)
        body, game = self.body, game_named(self.body.game)
        if body.sight is None and body.vision is None:
            return StatesWorld(game, self.slots)
        games = (FramesWorld(game, self.slots, self.renderer) if self.dream is None
                 else ForwardWorld(self.dream, self.slots))
        if body.sight is not None:
            return StacksWorld(games, body.sight, body.encode)
        return RealWorld(body, games)

    def __call__(self) -> PlaysChunks:
        """A worker in it."""
        return PlaysChunks(self)


def dream_of(run: Path, config: Config, world: World) -> Dream | ForwardDream | None:
    """What a run folder has in the game's place in a world; None where that is the game.

    Raises:
        UserError: a file is missing or does not fit.
    """
    if world == "dream":
        return load_dream(run, config)
    return load_forward_dream(run, config) if world == "forward" else None


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Episodes that one worker plays in one go.

    Attributes:
        controllers: (n_controllers, weights), each sent once.
        driver: (E,) which of them drives each episode.
        seeds: E seeds.
        max_steps: steps after which an episode is cut.
        patience: steps without a gain after which an episode is given up (0: never).
        sigma: (A,) noise on what the one controller gives, of which all is kept; None is none.
    """

    controllers: np.ndarray
    driver: np.ndarray
    seeds: list[int]
    max_steps: int
    patience: int
    sigma: np.ndarray | None = None


class PlaysChunks:
    """A worker: its world, and C's shape."""

    def __init__(self, spec: WorldSpec):
        self._body, self._world = spec.body, spec.build()

    def __call__(self, chunk: Chunk) -> Played:
        """Play the chunk's episodes; :class:`Practice` where there is noise."""
        if chunk.sigma is not None:
            return practise(self._world, self._body, chunk.controllers, chunk.sigma, chunk.seeds,
                            chunk.max_steps, chunk.patience)
        policy = Controllers(self._body, chunk.controllers[chunk.driver], self._world.slots)
        return play(self._world, policy, chunk.seeds, chunk.max_steps, chunk.patience)


class Players:
    """Workers that play episodes of one world.

    Args:
        spec: the world.
        workers: processes, 0 for one a core.
        chunk: episodes a worker takes at a time; 0 is its whole share. No result depends on
            it: it weighs workers that wait for the last one against slots that idle at the end
            of each chunk, which cost more.
        hang_after: seconds without a result after which workers count as hung; 0 never.
    """

    def __init__(self, spec: WorldSpec, workers: int, chunk: int, hang_after: float = 0.0):
        own = game_named(spec.body.game).own if spec.dream is None else ""
        self._pool: Pool[Chunk, Played] = Pool(spec, workers, hang_after, own)
        self._chunk = chunk

    def play(self, controllers: np.ndarray, driver: np.ndarray, seeds: list[int],
             max_steps: int, patience: int = 0) -> Played:
        """Play E episodes on all workers; the results are in the order of the episodes."""
        chunks = []
        for part in self._parts(len(seeds)):
            used, driver_here = np.unique(driver[part], return_inverse=True)
            chunks.append(Chunk(controllers=controllers[used].astype(np.float32),
                                driver=driver_here, seeds=seeds[part], max_steps=max_steps,
                                patience=patience))
        played = list(self._pool.map(chunks))
        return Played(np.concatenate([part.returns for part in played]),
                      np.concatenate([part.steps for part in played]))

    def practise(self, weights: np.ndarray, sigma: np.ndarray, seeds: list[int],
                 max_steps: int, patience: int = 0) -> Practice:
        """E episodes of C's weights (n,) with noise (A,) on what it gives, and all of them kept."""
        chunks = [Chunk(controllers=weights[None].astype(np.float32),
                        driver=np.zeros(len(seeds[part]), int), seeds=seeds[part],
                        max_steps=max_steps, patience=patience, sigma=sigma.astype(np.float32))
                  for part in self._parts(len(seeds))]
        parts = list(self._pool.map(chunks))
        return Practice.joined([part for part in parts if isinstance(part, Practice)])

    def _parts(self, episodes: int) -> list[slice]:
        """What each worker plays of so many episodes."""
        size = self._chunk or -(-episodes // self._pool.workers)
        return [slice(first, first + size) for first in range(0, episodes, size)]

    def __enter__(self) -> Players:
        return self

    def __exit__(self, *raised: object) -> None:
        self._pool.__exit__(*raised)  # type: ignore[arg-type]
