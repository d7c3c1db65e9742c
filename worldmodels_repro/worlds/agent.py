"""An agent as data: the weights of V, M and C, and how C was wired when they were evolved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldmodels_repro.envs.registry import GAMES, Game
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.models.mdn_rnn.recurrence import Recurrence
from worldmodels_repro.models.runtime import Encoder, Precision
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.records import AgentOrigin
from worldmodels_repro.storage import Arrays, load_json, load_npz


@dataclass(frozen=True)
class Body:
    """V and M, and what C sees of them: an agent but for its controller.

    Attributes:
        game: as the registry names it.
        vae: V's named weights.
        memory: M's named weights; empty where C sees z alone.
        inputs: what C sees, in order: z, h, c.
        hidden, bias: C's shape.
        sample_z: whether z is a posterior sample or the mean.
        precision: arithmetic of V's encoder and of M's products.
        restart_input: whether M's input ends with 'this step is an episode's first'.
        taken_actions: whether M sees actions as the game takes them.
    """

    game: str
    vae: Arrays
    memory: Arrays
    inputs: tuple[str, ...]
    hidden: int
    bias: bool
    sample_z: bool
    precision: Precision
    restart_input: bool = False
    taken_actions: bool = False

    @property
    def z(self) -> int:
        """Latent dimensions."""
        return len(self.vae["encoder/mu/bias"])

    @property
    def units(self) -> int:
        """M's units, 0 without M."""
        return self.memory["lstm/recurrent_kernel"].shape[0] if self.memory else 0

    @property
    def shape(self) -> ControllerShape:
        """C's sizes."""
        sizes = {"z": self.z, "h": self.units, "c": self.units}
        return ControllerShape(sum(sizes[name] for name in self.inputs), GAMES[self.game].actions,
                               self.hidden, self.bias)


@dataclass(frozen=True)
class Agent:
    """A body and its controller's weights (n,), with where they come from."""

    body: Body
    weights: np.ndarray
    origin: AgentOrigin


def load_body(run: Path, config: Any) -> Body:
    """V and M of a run folder, wired as ``config`` says.

    Raises:
        UserError: a file is missing or does not fit.
    """
    needs_memory = any(name in ("h", "c") for name in config.controller.inputs)
    memory: Arrays = {}
    if needs_memory:
        memory = load_weights(run / "memory" / "weights.npz")
        if config.evolve.untrained_memory:
            memory = untrained(memory, config.seed)
        memory = {name: array for name, array in memory.items() if name.startswith("lstm/")}
    vae = {name: array for name, array in load_weights(run / "vae" / "weights.npz").items()
           if name.startswith("encoder/")}
    return Body(config.game, vae, memory, tuple(config.controller.inputs),
                config.controller.hidden, config.controller.bias, config.evolve.sample_z,
                config.evolve.precision, config.memory.restart_input,
                config.memory.taken_actions)


def load_agent(run: Path) -> Agent:
    """The agent of a finished, or half finished, run folder.

    Raises:
        UserError: there is none.
    """
    from worldmodels_repro.config import load_config

    if not (run / "evolve" / "agent.npz").exists():
        raise UserError(f"{run} holds no agent (no evolve/agent.npz): name a run folder whose "
                        "evolve stage has begun")
    body = load_body(run, load_config(run / "config.yaml"))
    weights = load_npz(run / "evolve" / "agent.npz", ["weights"])["weights"]
    if weights.shape != (body.shape.weights,):
        raise UserError(f"{run}/evolve/agent.npz holds {weights.shape} weights, its config asks "
                        f"for ({body.shape.weights},): it belongs to another run")
    return Agent(body, weights.astype(np.float32),
                 load_json(run / "evolve" / "agent.json", AgentOrigin))


def untrained(memory: Arrays, seed: int) -> Arrays:
    """An M that never learned, for the ablation: Glorot uniform kernels, forget bias 1."""
    rng = np.random.default_rng(seed)
    fresh = {}
    for name, array in memory.items():
        if array.ndim == 2:
            limit = np.sqrt(6.0 / sum(array.shape))
            fresh[name] = rng.uniform(-limit, limit, array.shape).astype(np.float32)
        else:
            fresh[name] = np.zeros_like(array)
    units = memory["lstm/recurrent_kernel"].shape[0]
    fresh["lstm/bias"][units:2 * units] = 1.0
    return fresh


class Senses:
    """V and M at work on B episodes in lockstep: frames in, what C sees out.

    ``see`` then C acts then ``remember``: act on (z_t, h_t), then feed (z_t, a_t) to M for
    h_{t+1} (appendix A.4's loop).
    """

    def __init__(self, body: Body, batch: int):
        # Encoders of half and a quarter of the batch as well: towards the end of a chunk few
        # slots are live, and V is the dearest part of a step. An image's bits are the same in
        # all of them; each takes 8 MB.
        sizes = {batch, -(-batch // 2), -(-batch // 4)}
        self._encoders = {size: Encoder(body.vae, size, body.precision) for size in sorted(sizes)}
        self._memory = Recurrence(body.memory, batch, body.precision) if body.memory else None
        self._sample = body.sample_z
        self._told = GAMES[body.game].told(body.taken_actions)
        self.z = np.zeros((batch, body.z), np.float32)
        parts: dict[str, np.ndarray] = {"z": self.z}
        if self._memory is not None:
            parts |= {"h": self._memory.h, "c": self._memory.c}
        self._parts = [parts[name] for name in body.inputs]
        self.features = np.zeros((batch, body.shape.features), np.float32)
        self._restart = np.ones((batch, 1), np.float32) if body.restart_input else None

    def forget(self, slot: int) -> None:
        """An episode begins in this slot: h_0 = c_0 = 0."""
        if self._memory is not None:
            self._memory.reset(slot)
        if self._restart is not None:
            self._restart[slot] = 1.0

    def see(self, frames: np.ndarray, noise: np.ndarray,
            live: np.ndarray | None = None) -> np.ndarray:
        """Look at every slot's frame.

        Args:
            frames: (B, 64, 64, 3) uint8.
            noise: (B, z) standard normal.
            live: indices of the slots that matter; None for all. The others keep their z.

        Returns:
            Features (B, F); the array is reused by the next call.
        """
        count = len(frames) if live is None else len(live)
        size = next(size for size in self._encoders if size >= count)
        if live is None or size == len(frames):
            self._look(slice(None), frames, noise)
        elif count:
            # Rows that only fill the batch repeat a live one.
            rows = np.concatenate([live, np.full(size - count, live[0])])
            self._look(rows, frames[rows], noise[rows])
        column = 0
        for part in self._parts:
            self.features[:, column:column + part.shape[1]] = part
            column += part.shape[1]
        return self.features

    def _look(self, rows: np.ndarray | slice, frames: np.ndarray, noise: np.ndarray) -> None:
        mu, logvar = self._encoders[len(frames)].encode(frames)
        self.z[rows] = mu + np.exp(0.5 * logvar) * noise if self._sample else mu

    def remember(self, actions: np.ndarray) -> None:
        """Actions (B, A) just taken: M moves on."""
        if self._memory is None:
            return
        actions = self._told(actions)
        if self._restart is None:
            self._memory.step(self.z, actions)
        else:
            self._memory.step(self.z, actions, self._restart)
            self._restart[:] = 0.0


class DrivenByAgent:
    """A rollout policy: one agent at the wheel, with noise on its actions if asked."""

    def __init__(self, agent: Agent, rng: np.random.Generator, noise: float = 0.0):
        self._game: Game = GAMES[agent.body.game]
        self._shape, self._weights = agent.body.shape, agent.weights[None]
        self._senses, self._rng = Senses(agent.body, 1), rng
        self._scale, self._drift = noise, np.zeros(self._game.actions)

    def act(self, frame: np.ndarray) -> np.ndarray:
        """Frame (64, 64, 3) uint8 -> action (A,)."""
        noise = self._rng.standard_normal((1, self._senses.z.shape[1]), np.float32)
        features = self._senses.see(frame[None], noise)
        action = self._game.squash(self._shape.act(self._weights, features))
        if self._scale:
            # An Ornstein-Uhlenbeck walk of standard deviation `noise`: errors that last a
            # while, so that V and M see how the agent gets out of them.
            self._drift = 0.95 * self._drift + (
                self._scale * np.sqrt(1 - 0.95**2) * self._rng.standard_normal(action.shape[1]))
            action = np.clip(action + self._drift, self._game.low, self._game.high)
            action = action.astype(np.float32)
        self._senses.remember(action)
        return action[0]
