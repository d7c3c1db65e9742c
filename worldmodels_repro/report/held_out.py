"""An episode that M never trained on, and M itself, step by step in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from worldmodels_repro.data.episodes import (
    LATENTS,
    episode_file,
    kept_episodes,
    load_episode,
    split_episodes,
)
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.mdn_rnn.forward import MdnRnn, load_mdn_rnn
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.report.sample import OPENING, load_sample, sample_file
from worldmodels_repro.run import Run, load_marker
from worldmodels_repro.seeds import generator
from worldmodels_repro.storage import Arrays, needed

MOST = 20  # held-out episodes that are looked through
WINDOW = 100  # steps shown


class Mixture:
    """M from the start of an episode: each step's mixture of the next latent (section 2.3).

    Args:
        memory: M.
        told: what M is told of actions.
        state: M's ``h`` and ``c``, (units,) each, where it is no episode's start.
    """

    def __init__(self, memory: MdnRnn, told: Callable[[np.ndarray], np.ndarray],
                 state: Arrays | None = None):
        self._follower, self._head, self._told = memory.follow(1), memory.head, told
        if state is not None:
            self._follower.resume(0, state)
        self._kernel, self._bias = memory.weights["mdn/kernel"], memory.weights["mdn/bias"]

    def step(self, z: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """z (z,), action (A,) -> normalised log-weights, mu, log sigma, each (z, K)."""
        self._follower.step(z[None], self._told(action[None]))
        outputs = (self._follower.state["h"] @ self._kernel + self._bias)[0]
        logits, mu, log_sigma, _, _ = self._head.split(outputs)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), mu, log_sigma


def moments(log_weights: np.ndarray, mu: np.ndarray,
            log_sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of mixtures of Gaussians: (..., K) each -> (...)."""
    weights = np.exp(log_weights)
    mean = (weights * mu).sum(axis=-1)
    second = (weights * (np.exp(2.0 * log_sigma) + mu**2)).sum(axis=-1)
    return mean, np.sqrt(np.maximum(second - mean**2, 0.0))


@dataclass(frozen=True)
class HeldOut:
    """A held-out episode as M meets it.

    Attributes:
        name: the episode.
        z: (T, z) one draw of every posterior, as M's training makes them.
        mu: (T, z) the posteriors' means.
        actions: (T, A).
        first, steps: the window to show: steps first, ... have a next one.
        model: M.
        told: what it is told of actions.
        frames: () -> (T, 64, 64, 3) what the game showed.
        since: the step of the episode that is the first one here.
        state: M's ``h`` and ``c`` before that one; None where it begins the episode.
    """

    name: str
    z: np.ndarray
    mu: np.ndarray
    actions: np.ndarray
    first: int
    steps: int
    model: MdnRnn
    told: Callable[[np.ndarray], np.ndarray]
    frames: Callable[[], np.ndarray]
    since: int = 0
    state: Arrays | None = None

    def memory(self, steps: int = 0) -> Mixture:
        """M after the first ``steps`` steps."""
        memory = Mixture(self.model, self.told, self.state)
        for t in range(steps):
            memory.step(self.z[t], self.actions[t])
        return memory

    def expected(self, first: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, (steps, z) each, of M's mixtures at steps first, ...

        Teacher forced: row k is what M, fed z up to step first + k, expects at the step after.
        """
        memory = self.memory(first)
        rows = [moments(*memory.step(self.z[t], self.actions[t]))
                for t in range(first, first + steps)]
        return np.array([mean for mean, _ in rows]), np.array([sd for _, sd in rows])


def held_out_episode(run: Run) -> HeldOut:
    """The held-out episode with the liveliest window: the one in which latents vary most.

    Where the run has no latents any more, it is the one of its sample.

    Raises:
        UserError: there is no M, or no latents.
    """
    needed(run.folder("memory") / "weights.npz", "memory")
    latents = run.folder("latents")
    if not any(latents.glob("*.npz")) and sample_file(run).exists():
        return _of_sample(run)
    episodes = {name: load_episode(latents, name, LATENTS) for name in _held_out(run)[:MOST]}
    episodes = {name: episode for name, episode in episodes.items() if len(episode["mu"]) > 2}
    if not episodes:
        raise UserError(f"{latents} holds no held-out episode of more than two steps")
    mus = {name: episode["mu"].astype(np.float32) for name, episode in episodes.items()}
    name = max(mus, key=lambda name: _liveliest(mus[name])[0])
    mu = mus[name]
    first = _liveliest(mu)[1]
    game = game_named(run.config.game)
    sigma = np.exp(0.5 * episodes[name]["logvar"].astype(np.float32))
    z = mu + sigma * generator(0).standard_normal(mu.shape, np.float32)
    return HeldOut(name, z, mu, episodes[name]["actions"].astype(np.float32), first,
                   min(WINDOW, len(mu) - 1 - first),
                   load_mdn_rnn(run.path, run.config.memory, mu.shape[1], game.actions),
                   game.told(run.config.memory.taken_actions),
                   lambda: load_episode(run.folder("rollouts"), name, ("frames",))["frames"])


def _of_sample(run: Run) -> HeldOut:
    needed(run.folder("vae") / "weights.npz", "vae")
    kept, game = load_sample(run), game_named(run.config.game)
    encoder = load_vision(run.path, run.config.vae.layers).encoder(1)
    mu = np.concatenate([encoder.encode(frame[None])[0].copy() for frame in kept["frames"]])
    return HeldOut("sample", kept["z"], mu, kept["actions"], 0, len(mu) - 1,
                   load_mdn_rnn(run.path, run.config.memory, mu.shape[1], game.actions),
                   game.told(run.config.memory.taken_actions), lambda: kept["frames"],
                   int(kept["first"]), {"h": kept["h"], "c": kept["c"]})


def _liveliest(mu: np.ndarray) -> tuple[float, int]:
    """The window of mu (T, z) with the largest variance, summed over z: (variance, first)."""
    last = max(0, len(mu) - 1 - WINDOW)
    starts = range(min(OPENING, last), last + 1, 10)
    return max((float(mu[first:first + WINDOW].var(axis=0).sum()), first) for first in starts)


def _held_out(run: Run) -> list[str]:
    """The episodes that M's training left out: as it wrote down, or as it would pick them."""
    marker = needed(run.folder("memory") / "stage.json", "memory")
    facts = load_marker(marker.parent).get("facts", {})
    if "held_out_episodes" in facts:
        return list(facts["held_out_episodes"])
    latents = run.folder("latents")
    encoded = [name for name in kept_episodes(run.folder("rollouts"))
               if episode_file(latents, name).exists()]
    return split_episodes(encoded, run.config.memory.validation, run.config.seed)[1]
