"""For those who want no command line: load a run, make a policy of it, play it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from worldmodels_repro.config import load_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.policies.agent import Controllers, on_sight
from worldmodels_repro.seeds import Purpose, episode_seed
from worldmodels_repro.worlds.agent import load_agent
from worldmodels_repro.worlds.dream import DreamWorld, load_dream
from worldmodels_repro.worlds.episodes import Played, Policy, World, play
from worldmodels_repro.worlds.frames import FramesWorld, StatesWorld

WorldName = Literal["real", "dream"]


class LoadedRun:
    """A run folder, ready to play.

    Args:
        folder: e.g. ``logs/carracing``.

    Attributes:
        path: the folder.
        config: the run's settings.
        game: the run's :class:`Game`.

    Raises:
        UserError: it holds no run.
    """

    def __init__(self, folder: str | Path):
        self.path = Path(folder)
        if not (self.path / "config.yaml").exists():
            raise UserError(f"{self.path} holds no run (no config.yaml): name a run folder, "
                            "e.g. logs/carracing")
        self.config = load_config(self.path / "config.yaml")
        self.game = game_named(self.config.game)

    def world(self, name: WorldName = "real", slots: int = 1,
              temperature: float | None = None) -> World:
        """The unmodified game, of frames (of states where C sees those), or M's dream, of features.

        Args:
            name: ``real`` or ``dream``.
            slots: episodes in lockstep.
            temperature: of the dream (None: the run's).
        """
        if name == "real":
            if self.config.controller.inputs == ("o",):
                return StatesWorld(self.game, slots)
            return FramesWorld(self.game, slots, "original")
        return DreamWorld(load_dream(self.path, self.config, temperature), slots)

    def policy(self, world: WorldName = "real", slots: int = 1) -> Policy:
        """The run's agent: V, M and C on the game's frames, or C on a dream's features.

        Raises:
            UserError: the run has no agent.
        """
        agent = load_agent(self.path)
        if world == "real":
            return on_sight(agent, slots)
        return Controllers(agent.body, agent.weights[None], slots)

    def play(self, policy: Policy | None = None, *, world: WorldName = "real", episodes: int = 1,
             seeds: list[int] | None = None, temperature: float | None = None) -> Played:
        """Play episodes to their ends.

        Args:
            policy: who acts (None: the run's agent); it must have a slot for each episode, up to 4
                in the game.
            world: ``real``, where scores are the judge's, or ``dream``.
            episodes: how many.
            seeds: theirs (None: the judge's first held-out ones, or a dream's).
            temperature: of the dream (None: the run's).

        Returns:
            ``returns`` (E,) and ``steps`` (E,).
        """
        if seeds is None:
            purpose: Purpose = "evaluation" if world == "real" else "dream"
            seeds = [episode_seed(self.config.evaluate.seed, purpose, k) for k in range(episodes)]
        slots = min(len(seeds), 4) if world == "real" else len(seeds)
        return play(self.world(world, slots, temperature), policy or self.policy(world, slots),
                    seeds, self.game.max_steps)
