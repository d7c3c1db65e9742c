"""The dream as a gymnasium environment, for any other library to train in.

::

    import gymnasium, worldmodels_repro.envs
    env = gymnasium.make("worldmodels/Dream-v0", run="logs/doom", temperature=1.15)
    envs = gymnasium.make_vec("worldmodels/Dream-v0", num_envs=64, run="logs/doom",
                              vectorization_mode="vector_entry_point")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from worldmodels_repro.config import Config, load_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import ShowsLatents
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.worlds.dream import DreamWorld, load_dream

Observation = Literal["features", "latent"]
Info = dict[str, Any]
RENDER_MODES = ["rgb_array"]


class _Dreams:
    """What one environment and many share: the lockstep dreams of a run folder."""

    def __init__(self, run: str | Path, temperature: float | None, observation: Observation,
                 render_mode: str | None, count: int):
        path = Path(run)
        config = _config(path)
        if observation not in ("features", "latent"):
            raise UserError(f"observation {observation!r} is not known: features or latent is")
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise UserError(f"render_mode {render_mode!r} is not known: rgb_array or None is")
        dream = load_dream(path, config, temperature)
        game = game_named(config.game)
        self.most, self.fps = game.max_steps, game.fps
        self.world = DreamWorld(dream, count)
        self._latent, self._run, self._layers = observation == "latent", path, config.vae.layers
        self._decoder: ShowsLatents | None = None
        size = dream.memory.sizes["z"] if self._latent else dream.features
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = spaces.Box(game.low, game.high, dtype=np.float32)

    def observe(self) -> np.ndarray:
        """(B, size) float32: what C sees, or z."""
        return self.world.latents() if self._latent else self.world.features().copy()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Actions (B, A), clipped to the game's ranges -> rewards, terminated, truncated (B,)."""
        space = self.action_space
        actions = np.clip(np.asarray(actions, np.float32), space.low, space.high)
        rewards, ended = self.world.advance(actions)
        return rewards.copy(), ended.copy(), ~ended & (self.world.age >= self.most)

    def frames(self) -> np.ndarray:
        """z as V's decoder draws it, (B, 64, 64, 3) uint8."""
        if self._decoder is None:
            vision = load_vision(self._run, self._layers)
            self._decoder = vision.decoder(self.world.slots)
        return self._decoder.decode(self.world.latents()).copy()


class DreamEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One dream of a run folder's M.

    Actions are the game's own; the reward is 1 a step, or M's where it has learnt one. An episode
    terminates when M says so, and is truncated with the longest that the game allows.

    Args:
        run: the run folder, e.g. ``logs/doom``; its ``memory`` stage must be done.
        temperature: tau (None: the run's ``evolve.temperature``).
        observation: ``features``, what C sees (``controller.inputs``), or ``latent``, z alone.
        render_mode: ``rgb_array`` or None.

    Raises:
        UserError: the folder holds no M, or an option is not known.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": 50}  # noqa: RUF012

    def __init__(self, run: str | Path, temperature: float | None = None,
                 observation: Observation = "features", render_mode: str | None = None):
        self._dreams = _Dreams(run, temperature, observation, render_mode, 1)
        self.render_mode = render_mode
        self.observation_space = self._dreams.observation_space
        self.action_space = self._dreams.action_space
        self.metadata = {**self.metadata, "render_fps": self._dreams.fps}

    def reset(self, *, seed: int | None = None,
              options: Info | None = None) -> tuple[np.ndarray, Info]:
        """A new dream; a seed's dreams are always the same ones."""
        super().reset(seed=seed)
        self._dreams.world.reset(0, _draw_seed(self.np_random))
        return self._dreams.observe()[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        """Action (A,) -> observation, reward, terminated, truncated, info."""
        rewards, terminated, truncated = self._dreams.step(np.asarray(action)[None])
        return (self._dreams.observe()[0], float(rewards[0]), bool(terminated[0]),
                bool(truncated[0]), {})

    def render(self) -> np.ndarray | None:
        """The dream as V decodes it, (64, 64, 3) uint8; None without a render mode."""
        return None if self.render_mode is None else self._dreams.frames()[0]


class DreamVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many dreams in lockstep, each as :class:`DreamEnv`.

    An episode that ends gives way to the next within the same step (autoreset ``SAME_STEP``):
    no step is lost to a reset, and none of its transitions joins two episodes. Its last
    observation is in ``infos["final_obs"]``.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": 50,  # noqa: RUF012
                "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, num_envs: int, run: str | Path, temperature: float | None = None,
                 observation: Observation = "features", render_mode: str | None = None):
        self._dreams = _Dreams(run, temperature, observation, render_mode, num_envs)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_observation_space = self._dreams.observation_space
        self.single_action_space = self._dreams.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.metadata = {**self.metadata, "render_fps": self._dreams.fps}
        self._rngs: list[np.random.Generator] = []

    def reset(self, *, seed: int | list[int | None] | None = None,
              options: Info | None = None) -> tuple[np.ndarray, Info]:
        """New dreams everywhere; environment k of seed s dreams as :class:`DreamEnv` of s + k."""
        seeds: list[int | None]
        if seed is None or isinstance(seed, int):
            seeds = [None if seed is None else seed + k for k in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} environments")
        if not self._rngs:
            self._rngs = [np.random.default_rng() for _ in seeds]
        for slot, number in enumerate(seeds):
            if number is not None:
                self._rngs[slot] = gymnasium.utils.seeding.np_random(number)[0]
            self._dreams.world.reset(slot, _draw_seed(self._rngs[slot]))
        return self._dreams.observe(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray,
                                                 Info]:
        """Actions (B, A) -> observations, rewards, terminations, truncations, infos."""
        rewards, terminated, truncated = self._dreams.step(actions)
        observations, infos = self._dreams.observe(), {}
        over = terminated | truncated
        if over.any():
            final = np.full(self.num_envs, None, object)
            for slot in map(int, np.flatnonzero(over)):
                final[slot] = observations[slot].copy()
                self._dreams.world.reset(slot, _draw_seed(self._rngs[slot]))
            observations = self._dreams.observe()
            infos = {"final_obs": final, "_final_obs": over.copy(),
                     "final_info": {}, "_final_info": over.copy()}
        return observations, rewards, terminated, truncated, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Each dream as V decodes it, (64, 64, 3) uint8; None without a render mode."""
        return None if self.render_mode is None else tuple(self._dreams.frames())


def _config(run: Path) -> Config:
    if not (run / "memory" / "weights.npz").exists():
        raise UserError(f"{run} holds no M to dream (no memory/weights.npz): name a run folder "
                        "whose memory stage is done")
    return load_config(run / "config.yaml")


def _draw_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
