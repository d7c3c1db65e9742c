"""Stage 1: collect rollouts of the game (appendix A.1).

Each episode's track, policy and every draw within it come from the episode's own seed, so the
same settings give the same files whatever the number of workers, and a collection that was
interrupted goes on with the first episode that its manifest lacks.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from worldmodels_repro.config import Config, load_config
from worldmodels_repro.data.episodes import episode_file, kept_episodes
from worldmodels_repro.data.recorded import recorded
from worldmodels_repro.envs.game import Game
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.evolution.strategies import load_spread
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.plugins import is_plugin
from worldmodels_repro.policies.registry import POLICIES, policy_named, scripted_player
from worldmodels_repro.pool import Pool
from worldmodels_repro.progress import Progress
from worldmodels_repro.records import ManifestLine
from worldmodels_repro.run import MIRRORED, Run, load_marker, versions
from worldmodels_repro.sections import Rollouts
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.storage import (
    Arrays,
    append_json_line,
    link_or_copy,
    load_json_lines,
    needed,
    save_npz,
)
from worldmodels_repro.worlds.agent import Agent, load_agent
from worldmodels_repro.worlds.episodes import Policy, play
from worldmodels_repro.worlds.frames import FramesWorld


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """All that a worker needs to play episodes."""

    game: str
    settings: Rollouts
    agents: list[Agent]


@dataclass(frozen=True)
class Episode:
    """One episode to play."""

    policy: str
    number: int
    seed: int

    @property
    def name(self) -> str:
        """Of its file: its policy's name, and its number."""
        policy = self.policy.rpartition(":")[2].lower() if is_plugin(self.policy) else self.policy
        return f"{re.sub('[^a-z]', '', policy)}-{self.number:06d}"


def run(stage_run: Run) -> None:
    """Collect what the manifest lacks of ``rollouts.policies``."""
    settings = stage_run.config.rollouts
    gathering, game = gathering_of(stage_run.config), game_named(stage_run.config.game)
    earlier = _kept(settings.keep, stage_run.config.game)
    if settings.recorded is not None:
        next(recorded(settings.recorded, game))  # what is no recording is refused here
    folder = stage_run.begin("rollouts")
    if folder is None:
        return
    manifest = folder / "manifest.jsonl"
    done = {line["episode"] for line in load_json_lines(manifest, ManifestLine)}
    for line, file in earlier:
        if line["episode"] not in done:
            link_or_copy(file, episode_file(folder, line["episode"]))
            append_json_line(manifest, line)
            done.add(line["episode"])
    there = Counter(line["policy"] for line, _ in earlier)
    # An episode is known by its policy and number: asking for more changes none that is there.
    kinds = {name: _kind(name) for name in settings.policies}
    episodes = [Episode(policy, number, episode_seed(stage_run.config.seed, "rollouts",
                                                     kinds[policy], number))
                for policy in sorted(kinds, key=kinds.__getitem__)
                for number in range(there[policy], there[policy] + settings.policies[policy])]
    if len({episode.name for episode in episodes}) < len(episodes):
        raise UserError("two of rollouts.policies have one name in their files' names: give your "
                        "own another NAME")
    stamp = {"environment": game.judge_id, "renderer": settings.renderer, "versions": versions()}
    if settings.recorded is not None:
        for taken in _take_over(settings.recorded, game, folder, settings.min_steps, done):
            append_json_line(manifest, taken | stamp | {"renderer": "recorded"})
            done.add(taken["episode"])
    waiting = [episode for episode in episodes if episode.name not in done]
    with (Progress("rollouts", len(done) + len(waiting), "episodes", len(done)) as progress,
          Pool(partial(Collects, gathering, folder), stage_run.config.evolve.workers,
               stage_run.config.evolve.hang_after, game.own) as pool):
        for played in pool.map(waiting):
            append_json_line(manifest, played | stamp)
            stage_run.checkpoint("rollouts", every=MIRRORED)
            progress.add(1, f"return {played['return']:.0f} in {played['length']} steps")
    lines = load_json_lines(manifest, ManifestLine)
    stage_run.finish("rollouts", episodes=sum(line["kept"] for line in lines),
                     frames=sum(line["length"] for line in lines if line["kept"]),
                     mean_return=float(np.mean([line["return"] for line in lines])))


def gathering_of(config: Config) -> Gathering:
    """Who plays which game, as a run's settings say; workers make it again.

    Raises:
        UserError: the game can't be played with what is installed, or a policy is not known.
    """
    settings, game = config.rollouts, game_named(config.game)
    agents = [_agent(Path(run), settings) for run in settings.agents]
    game.require(settings.renderer)
    for policy in settings.policies:
        policy_named(policy)  # a user's own file is refused here, not by a worker
    if "scripted" in settings.policies:
        scripted_player(game)
    return Gathering(game=config.game, settings=settings, agents=agents)


def _agent(run: Path, settings: Rollouts) -> Agent:
    """The agent of a run; with where its CMA-ES had come to, for candidates."""
    agent = load_agent(run)
    return replace(agent, spread=load_spread(run)) if settings.policies.get("candidates") else agent


def _kept(run: str | None, game: str) -> list[tuple[ManifestLine, Path]]:
    """The episodes of an earlier run, each with its file.

    Raises:
        UserError: it has none, they are of another game, or one is missing.
    """
    if run is None:
        return []
    folder = STAGES["rollouts"].folder(Path(run))
    if not (folder / "stage.json").exists() or load_marker(folder)["state"] != "done":
        raise UserError(f"{folder} is not done: finish it first, or set rollouts.keep=null")
    theirs = load_config(Path(run) / "config.yaml").game
    if theirs != game:
        raise UserError(f"rollouts.keep: {run} holds episodes of {theirs}, not of {game}")
    names = set(kept_episodes(folder))
    lines = [line for line in load_json_lines(folder / "manifest.jsonl", ManifestLine)
             if line["episode"] in names]
    return [(line, needed(episode_file(folder, line["episode"]), "rollouts")) for line in lines]


def _take_over(source: str, game: Game, folder: Path, min_steps: int,
               done: set[str]) -> Iterator[dict[str, Any]]:
    """Write the recorded episodes that are not there yet; their lines of the manifest."""
    for number, arrays in enumerate(recorded(source, game)):
        name, length = f"recorded-{number:06d}", len(arrays["rewards"])
        if name in done:
            continue
        if length >= min_steps:
            save_npz(episode_file(folder, name), arrays)
        yield {"episode": name, "seed": -1, "policy": "recorded", "length": length,
               "return": float(arrays["rewards"].sum()), "kept": length >= min_steps}


def _kind(policy: str) -> int:
    """What a policy's episodes' seeds come from: its row, or its name in a user's file."""
    if is_plugin(policy):
        return 4 + zlib.crc32(policy.rpartition(":")[2].encode())  # 4: the rows there were once
    return list(POLICIES).index(policy)


class Plays:
    """A worker: plays an episode."""

    def __init__(self, gathering: Gathering):
        self._gathering = gathering
        self._world = FramesWorld(game_named(gathering.game), 1, gathering.settings.renderer)
        self._policies: dict[tuple[str, int], Policy] = {}

    def __call__(self, episode: Episode) -> Log:
        """What came of it."""
        settings, log = self._gathering.settings, Log(self._world)
        play(self._world, self._policy(episode), [episode.seed], settings.max_steps,
             settings.patience, log)
        return log

    def _policy(self, episode: Episode) -> Policy:
        """Made once for all episodes that it plays; several agents take turns."""
        agents = self._gathering.agents
        turn = episode.number % len(agents) if agents else 0
        key = (episode.policy, turn)
        if key not in self._policies:
            self._policies[key] = policy_named(episode.policy)(
                game_named(self._gathering.game), self._gathering.settings,
                agents[turn] if agents else None)
        return self._policies[key]


class Collects:
    """A worker: plays an episode, writes its file, and returns its manifest line."""

    def __init__(self, gathering: Gathering, folder: Path):
        self._plays, self._folder = Plays(gathering), folder
        self._least = gathering.settings.min_steps

    def __call__(self, episode: Episode) -> ManifestLine:
        """The episode as the manifest knows it."""
        log = self._plays(episode)
        if kept := len(log.rewards) >= self._least:
            save_npz(episode_file(self._folder, episode.name), log.arrays())
        return {"episode": episode.name, "seed": episode.seed, "policy": episode.policy,
                "length": len(log.rewards), "return": float(np.sum(log.rewards)), "kept": kept}


class Log:
    """What came of an episode, step by step."""

    def __init__(self, world: FramesWorld):
        self._world = world
        self._frames: list[np.ndarray] = []
        self._states: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []
        self.rewards: list[float] = []
        self._terminated: list[bool] = []

    def __call__(self, seen: np.ndarray, actions: np.ndarray, rewards: np.ndarray,
                 dones: np.ndarray) -> None:
        """A step: a :class:`worlds.episodes.Watcher`."""
        self._frames.append(seen[0])
        self._states.append(self._world.states[0].copy())
        self._actions.append(actions[0].copy())
        self.rewards.append(float(rewards[0]))
        self._terminated.append(bool(self._world.terminated[0]))

    def arrays(self) -> Arrays:
        """The episode's file; what did not end by itself was cut at its last step."""
        terminated = np.array(self._terminated, bool)
        truncated = np.zeros(len(terminated), bool)
        truncated[-1] = not terminated[-1]
        return {
            "frames": np.stack(self._frames),  # (T, 64, 64, 3) uint8
            "actions": np.stack(self._actions).astype(np.float32),  # (T, A)
            "rewards": np.array(self.rewards, np.float32),
            "terminated": terminated,
            "truncated": truncated,
            # (T, S) where the game has a state
            **({"states": np.stack(self._states)} if self._states[0].size else {}),
        }
