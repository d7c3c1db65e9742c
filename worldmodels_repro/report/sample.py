"""A sample of what an agent sees, played anew: enough to draw V, M and C from, in under a megabyte.

A run that is committed, or was moved, has no rollouts any more; the agent and the judge's held-out
seeds are always there. So the sample is of these: neither V, M nor C ever trained on them, and the
same run gives the same sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import numpy as np

from worldmodels_repro.config import Config
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.extras import require
from worldmodels_repro.frame import SIDE
from worldmodels_repro.models.mdn_rnn.forward import load_mdn_rnn
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.policies.random import UniformlyRandom
from worldmodels_repro.records import Judgement
from worldmodels_repro.report.layout import embed
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import episode_seed, generator
from worldmodels_repro.storage import load_json, load_npz, needed, save_npz
from worldmodels_repro.tables import Sample
from worldmodels_repro.worlds.agent import Agent, Senses, load_agent
from worldmodels_repro.worlds.episodes import play
from worldmodels_repro.worlds.frames import FramesWorld

OPENING = 60  # steps before any that are shown: CarRacing's first second zooms in
AGENTS, STEPS = 3, 600  # the agent's episodes, and the most steps of each
RANDOM_STEPS = 200  # of one episode of uniformly random actions: what an agent no longer meets
WINDOW = 100  # steps of an episode that are kept whole
POINTS, THUMBNAIL = 160, 32  # moments on the map, and the side of their frames
RECONSTRUCTIONS = 8
FEWEST = 10  # steps that can be laid out
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


def sample_file(run: Run) -> Path:
    """Where a run's sample lies."""
    return run.folder("figures") / "sample.npz"


def load_sample(run: Run) -> Sample:
    """A run's sample.

    Raises:
        UserError: it is missing, or no sample.
    """
    arrays = load_npz(sample_file(run), Sample.__annotations__)
    return Sample(**arrays)  # type: ignore[typeddict-item]


def write_sample(run: Run) -> Path:
    """Play and write a run's sample.

    Raises:
        UserError: it has no V, M or C, or its game can't be played here.
    """
    require("figures")  # before anything is played
    save_npz(sample_file(run), dict(sample(run).items()), level=9)  # type: ignore[arg-type]
    return sample_file(run)


def sample(run: Run) -> Sample:
    """Held-out episodes of the unmodified game, as V, M and C met them.

    Raises:
        UserError: the run has no V, M or C, or its game can't be played here.
    """
    for stage, file in (("vae", "weights.npz"), ("memory", "weights.npz"), ("evolve", "agent.npz")):
        needed(run.folder(stage) / file, stage)
    config, agent = run.config, load_agent(run.path)
    # Whatever the run's own arithmetic: any CPU can then follow it.
    agent = replace(agent, body=replace(agent.body, precision="f32"))
    seeds = _seeds(run)
    world = FramesWorld(game_named(config.game), 1, "original")
    lives = [_lived(run.path, config, agent, world, seed, randomly=False) for seed in seeds]
    lives.append(_lived(run.path, config, agent, world, seeds[0], randomly=True))
    life, first = lives[0], _opening(lives[0])
    kept = slice(first, first + WINDOW)
    frames, mu, z, h, c = (
        np.concatenate([getattr(life, name)[_opening(life):] for life in lives])
        for name in ("frames", "mu", "z", "h", "c"))
    if len(z) < FEWEST:
        raise UserError(f"{run.path}'s agent lives for {len(z)} steps: too few for a sample")
    places = np.linspace(0, len(z) - 1, min(POINTS, len(z))).astype(int)
    actions, score, pace = (np.concatenate(columns) for columns in zip(*(
        (each.actions[_opening(each):],
         *so_far(each.rewards, np.arange(_opening(each), len(each.z)), game_named(config.game)))
        for each in lives), strict=True))
    worst = _errors(run, frames, mu).argsort()[::-1]
    shown = worst[np.linspace(0, len(worst) - 1, RECONSTRUCTIONS).astype(int)]
    return {
        "seed": np.array(seeds[0]), "first": np.array(first),
        "frames": life.frames[kept], "z": life.z[kept], "actions": life.actions[kept],
        "rewards": life.rewards[kept], "h": life.h[first], "c": life.c[first],
        "quantiles": np.quantile(mu, QUANTILES, axis=0).astype(np.float32),
        "variance": mu.var(axis=0),
        "shown_frames": frames[shown], "shown_mu": mu[shown],
        "map_points": embed(mu[places]).astype(np.float32),
        "map_frames": _smaller(frames[places]), "map_z": z[places].astype(np.float16),
        "map_h": h[places].astype(np.float16), "map_c": c[places].astype(np.float16),
        "map_actions": actions[places].astype(np.float32),
        "map_score": score[places].astype(np.float32),
        "map_pace": pace[places].astype(np.float32)}


def so_far(rewards: np.ndarray, t: np.ndarray, game: Game) -> tuple[np.ndarray, np.ndarray]:
    """An episode's return up to each of the steps t, and a step's mean reward within ±0.5 s."""
    total, half_second = np.concatenate([[0.0], np.cumsum(rewards, dtype=float)]), game.fps // 2
    begin, end = np.maximum(t - half_second, 0), np.minimum(t + half_second, len(rewards))
    return total[t], (total[end] - total[begin]) / (end - begin)


def _opening(life: _Life) -> int:
    """The step from which an episode is shown."""
    return min(OPENING, len(life.z) // 2)


def _seeds(run: Run) -> list[int]:
    """Of the judged episodes that of the median score (the lower of two), the worst and the best.

    The judge's first ones, where it has judged fewer.
    """
    path = run.folder("evaluate") / "evaluation.json"
    judged = load_json(path, Judgement)["episodes"].get("agent", []) if path.exists() else []
    if len(judged) < AGENTS:
        return [episode_seed(run.config.evaluate.seed, "evaluation", k) for k in range(AGENTS)]
    ranked = sorted(judged, key=itemgetter("score"))
    return [ranked[place]["seed"] for place in ((len(ranked) - 1) // 2, 0, -1)]


@dataclass(frozen=True)
class _Life:
    """An episode step by step: what was seen and done, and V's and M's state before acting."""

    frames: np.ndarray
    mu: np.ndarray
    z: np.ndarray
    h: np.ndarray
    c: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray


def _lived(path: Path, config: Config, agent: Agent, world: FramesWorld, seed: int,
           randomly: bool) -> _Life:
    """One episode of the agent, or of uniformly random actions that V and M look on at."""
    game, body = game_named(config.game), agent.body
    assert body.vision is not None  # its file is there
    encoder = body.vision.encoder(1, body.precision)
    memory = body.memory or load_mdn_rnn(path, config.memory, body.vision.size, game.actions)
    rng = generator(seed)
    senses, chance = Senses(replace(body, memory=memory), 1), UniformlyRandom(game, rng)
    controllers = Controllers(body, agent.weights[None], 1)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in _Life.__annotations__}

    class Looking:
        """The agent of :class:`SeeingAgent`, with its thoughts written down."""

        def reset(self, slot: int, seed: int, episode: int) -> None:
            controllers.reset(slot, seed, episode)
            senses.forget(slot)

        def act(self, frames: np.ndarray) -> np.ndarray:
            mu = encoder.encode(frames)[0].copy()
            seen = senses.see(frames, rng.standard_normal(mu.shape, np.float32))
            parts = {name: senses.state[name].copy() for name in ("z", "h", "c")}
            actions = chance.act(frames[0])[None] if randomly else controllers.act(seen)
            senses.remember(actions)
            for name, array in {**parts, "mu": mu, "frames": frames, "actions": actions}.items():
                rows[name].append(array[0].copy())
            return actions

    def paid(seen: np.ndarray, actions: np.ndarray, rewards: np.ndarray,
             dones: np.ndarray) -> None:
        rows["rewards"].append(rewards[0].copy())

    play(world, Looking(), [seed], RANDOM_STEPS if randomly else STEPS, watch=paid)
    return _Life(**{name: np.stack(row) for name, row in rows.items()})


def _errors(run: Run, frames: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """How far V's reconstruction of each frame is off, a mean over its numbers."""
    decode = load_vision(run.path, run.config.vae.layers).decoder(1).decode
    return np.array([np.abs(decode(m[None])[0].astype(float) - frame).mean()
                     for m, frame in zip(mu, frames, strict=True)])


def _smaller(frames: np.ndarray) -> np.ndarray:
    """Frames (n, 64, 64, 3) as thumbnails (n, 32, 32, 3): each pixel the mean of four."""
    step = SIDE // THUMBNAIL
    blocks = frames.reshape(len(frames), THUMBNAIL, step, THUMBNAIL, step, 3)
    return np.round(blocks.mean(axis=(2, 4))).astype(np.uint8)
