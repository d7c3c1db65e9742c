"""Stage 1: collect rollouts of the game (appendix A.1).

Each episode's track, policy and every draw within it come from the episode's own seed, so the
same settings give the same files whatever the number of workers, and a collection that was
interrupted goes on with the first episode that its manifest lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import gymnasium
import numpy as np

from worldmodels_repro.config import Policy
from worldmodels_repro.data.episodes import episode_file
from worldmodels_repro.envs.registry import GAMES, Game, Renderer
from worldmodels_repro.policies.random import Brownian, Held, RandomNetwork, RandomPolicy
from worldmodels_repro.pool import Pool
from worldmodels_repro.progress import Progress
from worldmodels_repro.records import ManifestLine
from worldmodels_repro.run import MIRRORED, Run, versions
from worldmodels_repro.seeds import episode_seed, generator
from worldmodels_repro.storage import append_json_line, load_json_lines, save_npz
from worldmodels_repro.worlds.agent import Agent, DrivenByAgent, load_agent


@dataclass(frozen=True)
class Collector:
    """All that a worker needs to play an episode."""

    folder: Path
    game: str
    renderer: Renderer
    max_steps: int
    min_steps: int
    patience: int
    held_steps: tuple[int, int]
    brownian_dt: float
    agents: list[Agent]
    agent_noise: float


@dataclass(frozen=True)
class Episode:
    """One episode to play."""

    policy: Policy
    number: int
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.policy}-{self.number:06d}"


def run(stage_run: Run) -> None:
    """Collect what the manifest lacks of ``rollouts.policies``."""
    settings = stage_run.config.rollouts
    agents = [load_agent(Path(run)) for run in settings.agents]
    GAMES[stage_run.config.game].require(settings.renderer)
    folder = stage_run.begin("rollouts")
    if folder is None:
        return
    manifest = folder / "manifest.jsonl"
    done = {line["episode"] for line in load_json_lines(manifest, ManifestLine)}
    # An episode is known by its policy and number: asking for more changes none that is there.
    episodes = [Episode(policy, number,
                        episode_seed(stage_run.config.seed, "rollouts", kind, number))
                for kind, policy in enumerate(get_args(Policy))
                for number in range(settings.policies.get(policy, 0))]
    collector = Collector(folder, stage_run.config.game, settings.renderer, settings.max_steps,
                          settings.min_steps, settings.patience, settings.held_steps,
                          settings.brownian_dt, agents, settings.agent_noise)
    stamp = {"environment": GAMES[stage_run.config.game].judge_id, "renderer": settings.renderer,
             "versions": versions()}
    waiting = [episode for episode in episodes if episode.name not in done]
    with (Progress("rollouts", len(episodes), "episodes", len(done)) as progress,
          Pool(stage_run.config.evolve.workers, _prepare, (collector,),
                stage_run.config.evolve.hang_after) as pool):
        for line in pool.map(_collect, waiting):
            append_json_line(manifest, line | stamp)
            stage_run.checkpoint("rollouts", every=MIRRORED)
            progress.add(1, f"return {line['return']:.0f} in {line['length']} steps")
    lines = load_json_lines(manifest, ManifestLine)
    stage_run.finish("rollouts", episodes=sum(line["kept"] for line in lines),
                     frames=sum(line["length"] for line in lines if line["kept"]),
                     mean_return=float(np.mean([line["return"] for line in lines])))


_collector: Collector
_env: gymnasium.Env[np.ndarray, np.ndarray]


def _prepare(collector: Collector) -> None:
    global _collector, _env
    _collector, _env = collector, GAMES[collector.game].make(collector.renderer)


def _collect(episode: Episode) -> dict[str, object]:
    """Play one episode and write its file; returns its manifest line."""
    policy = _make_policy(GAMES[_collector.game], episode)
    frame, _ = _env.reset(seed=episode.seed)
    frames: list[np.ndarray] = []
    actions, rewards, terminated, truncated = [], [], [], []
    since_gain = 0
    while True:
        action = policy.act(frame)
        frames.append(frame.copy())
        actions.append(action.copy())
        frame, gain, terminal, cut, _ = _env.step(action)
        reward = float(gain)
        since_gain = 0 if reward > 0 else since_gain + 1
        cut = cut or len(frames) >= _collector.max_steps or (
            _collector.patience > 0 and since_gain >= _collector.patience)
        rewards.append(reward)
        terminated.append(terminal)
        truncated.append(bool(cut and not terminal))
        if terminal or cut:
            break
    kept = len(frames) >= _collector.min_steps
    if kept:
        save_npz(episode_file(_collector.folder, episode.name), {
            "frames": np.stack(frames),  # (T, 64, 64, 3) uint8
            "actions": np.stack(actions).astype(np.float32),  # (T, A)
            "rewards": np.array(rewards, np.float32),
            "terminated": np.array(terminated, bool),
            "truncated": np.array(truncated, bool),
        })
    return {"episode": episode.name, "seed": episode.seed, "policy": episode.policy,
            "length": len(frames), "return": float(np.sum(rewards)), "kept": kept}


def _make_policy(game: Game, episode: Episode) -> RandomPolicy:
    rng = generator(episode.seed)
    if episode.policy == "held":
        return Held(game, rng, _collector.held_steps)
    if episode.policy == "brownian":
        return Brownian(game, rng, _collector.brownian_dt)
    if episode.policy == "controller":
        agent = _collector.agents[episode.number % len(_collector.agents)]
        # From driving as well as it can to hardly keeping the road: M meets speed and mistakes.
        return DrivenByAgent(agent, rng, rng.uniform(0.0, _collector.agent_noise))
    return RandomNetwork(game, rng)
