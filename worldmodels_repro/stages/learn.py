"""Stage 5 where C learns by gradient: DQN or TD3, in the real game or in a dream.

One episode after the other is played and learnt from. Every so often the policy plays without
exploration on seeds that training never sees; the best such policy is the agent. All draws of an
episode come from its number, and checkpoints lie between episodes: a run that was killed goes on
with the same numbers, what it remembers included.
"""

from __future__ import annotations

import time
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.evolution.players import WorldSpec, dream_of
from worldmodels_repro.learning.chunks import Chunks
from worldmodels_repro.learning.frames import FrameRing
from worldmodels_repro.learning.replay import Fifo, memory_of
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.models.network import Joint, Network
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.progress import Progress
from worldmodels_repro.records import LearningEpisode
from worldmodels_repro.run import Run
from worldmodels_repro.sections import Learn, World
from worldmodels_repro.seeds import episode_seed, generator
from worldmodels_repro.storage import (
    Arrays,
    append_json_line,
    has_checkpoint,
    load_csv,
    load_json_lines,
    load_step,
    needed,
    resume_checkpoint,
    save_checkpoint,
    save_csv,
    save_json,
    save_json_lines,
    save_npz,
)
from worldmodels_repro.tracking import Trackers
from worldmodels_repro.training.quiet import import_keras_quietly
from worldmodels_repro.worlds.agent import (
    Body,
    load_agent,
    load_body,
    network_of,
    pretrained_encoder,
    shape_of,
)
from worldmodels_repro.worlds.episodes import EndingWorld, play

if TYPE_CHECKING:
    from worldmodels_repro.learning.learner import Learner

CHECKPOINT = 20.0  # seconds between checkpoints, at least
LATELY = 100  # episodes whose mean score is told


def run(stage_run: Run) -> None:
    """Learn for the steps that are missing."""
    config = stage_run.config
    settings = config.learn
    if config.controller.stage != "learn":
        raise UserError(f"controller.by={config.controller.by} is the stage evolve's: type "
                        + stage_run.command("evolve")
                        + ", or set controller.by to dqn or td3")
    network_of(config, 1)  # refuses a game that it can't be for
    if "real" in config.evolve.worlds:
        game_named(config.game).require(config.evolve.renderer)
    if settings.next != "none" and game_named(config.game).squash is not None:
        raise UserError(f"{config.game} bends what C gives before it is an action, which the "
                        "transition network is not told: set learn.next=none")
    if settings.start is not None:
        _moving(settings.start, shape_of(config))
    _refuse_without_learner(stage_run.folder("learn"), settings)
    folder = stage_run.begin("learn")
    if folder is None:
        return
    body = load_body(stage_run.path, config)
    # Keras takes seconds to import: after everything that can be refused.
    import_keras_quietly()
    course = Course(stage_run, body)
    with (Trackers(stage_run.path, "learn", config) as trackers,
          Progress("learn", settings.steps, "steps", course.step) as progress):
        progress.say(f"{config.controller.by} of {body.shape.weights} weights "
                     f"on {body.features} features; {settings.buffer} transitions remembered")
        while True:
            if course.evaluation_due:
                row = course.evaluate()
                trackers.log(row, course.step)
                progress.say(f"step {course.step}: {row['mean']:.1f} without exploration")
            if course.over:
                break
            facts = course.play_episode()
            progress.add(course.episodes[-1]["steps"], facts)
    stage_run.finish("learn", episodes=len(course.episodes), steps=course.step,
                     updates=course.updates, agent=course.best)


def _refuse_without_learner(folder: Path, settings: Learn) -> None:
    """A finished run may be kept without its learner; to start over would write over it."""
    rows = load_csv(folder / "history.csv", "step", "episodes")
    if rows and not has_checkpoint(folder / "learner.npz") and not _is_over(
            settings, rows[-1]["step"], rows[-1]["episodes"]):
        raise UserError(f"{folder} was kept without learner.npz and cannot go on from step "
                        f"{rows[-1]['step']}: to start anew, copy the run and remove its learn/ "
                        "and evaluate/")


def _is_over(settings: Learn, step: int, episodes: int) -> bool:
    return step >= settings.steps or (
        settings.episodes is not None and episodes >= settings.episodes)


class Course:
    """A learner at school: its world, what it remembers, and how far it came.

    Args:
        stage_run: whose stage has begun; what its checkpoint holds is taken up.
        body: what the learner is shown, and the shape of its network.

    Attributes:
        step: steps of the game so far.
        updates: so far.
        episodes: a row each.
        history: a row for each evaluation.
    """

    def __init__(self, stage_run: Run, body: Body):
        self._run, self._config, self._body = stage_run, stage_run.config, body
        self._settings = settings = self._config.learn
        self._folder = stage_run.folder("learn")
        self._seed = episode_seed(self._config.seed, "models", 5)
        game = game_named(self._config.game)
        self._longest = min(game.max_steps, self._config.evolve.max_steps)
        self._frames = None
        if body.network is not None and body.network.encoder is not None:
            assert body.sight is not None
            self._frames = FrameRing(body.sight, settings.buffer)
            self._frame_chunks = Chunks(self._folder / "frames", prod(self._frames.frame), np.uint8)
        self._learner = _learner(stage_run, body, self._seed, self._frames)
        width = self._learner.columns.width
        self._memory = memory_of(settings.buffer, width, settings.alpha, settings.beta,
                                 settings.omega)
        self._chunks = Chunks(self._folder / "memory", width)
        training, judging = self._config.evolve.worlds
        self._world = _world(stage_run, body, training, 1)
        self._judges = min(settings.evaluate_rollouts, self._config.evolve.slots)
        self._judge = _world(stage_run, body, judging, self._judges)
        self.step = self.updates = 0
        self.episodes: list[LearningEpisode] = []
        self.history: list[dict[str, Any]] = []
        self._resume()
        self._clock = self._saved = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether steps or episodes are used up."""
        return _is_over(self._settings, self.step, len(self.episodes))

    @property
    def evaluation_due(self) -> bool:
        """Whether an evaluation's step has gone by, or all is over."""
        last, every = self.history[-1]["step"] if self.history else 0, self._settings.evaluate_every
        return self.step // every > last // every or (self.over and self.step > last)

    @property
    def best(self) -> dict[str, Any] | None:
        """The evaluation whose policy is the agent: the first of those with the best mean, or the
        last where how to move is not learnt."""
        rows = self.history[-1:] if self._settings.frozen else self.history
        return max(rows, key=lambda row: row["mean"], default=None)

    def play_episode(self) -> str:
        """Play an episode and learn; what progress says of it."""
        number, settings = len(self.episodes), self._settings
        rng = generator(self._seed, number)
        self._world.reset(0, episode_seed(self._config.seed, "training", number))
        seen, age, score, losses, before = self._look(), 0, 0.0, 0.0, self.updates
        kept, over = self._kept(seen), False
        while not over:
            done, outputs = self._learner.explore(seen, self.step, rng)
            rewards, dones = self._world.step(self._body.acts(outputs))
            ended = bool(dones[0]) and bool(self._world.terminated[0])
            reward, following = float(rewards[0]), self._look()
            age, score = age + 1, score + reward
            over = bool(dones[0]) or age >= self._longest
            learnt = reward if settings.end_reward is None or not ended else settings.end_reward
            then = self._kept(following, kept, ended)
            row = np.concatenate([kept, done, (learnt,), then, (ended,)], dtype=np.float32)
            self._memory.add(row, self.step)
            self._chunks.add(row)
            if self._frames is not None and isinstance(self._memory, Fifo):
                self._frames.forget(*self._learner.columns.seen(self._memory.oldest[None])[0])
            self.step += 1
            seen, kept = following, then
            if self.step > settings.delay and (
                    over if settings.every == 0 else self.step % settings.every == 0):
                times = settings.updates if settings.every else age
                losses += times * self._learner.update(self._memory, times, rng)
                self.updates += times
            if self.step % settings.target_every == 0:
                self._learner.renew_target()
        self._memory.end_episode(self._learner.scores)
        updates = self.updates - before
        self.episodes.append({"episode": number, "step": self.step, "steps": age,
                              "score": round(score, 4),
                              "loss": round(losses / updates, 6) if updates else None})
        append_json_line(self._folder / "episodes.jsonl", self.episodes[-1])
        if time.monotonic() - self._saved > CHECKPOINT:
            self.checkpoint()
        return (f"episode {len(self.episodes):,}, mean of the last {LATELY} "
                f"{self._lately():.1f}, best evaluation "
                f"{self.best['mean'] if self.best else float('nan'):.1f}")

    def evaluate(self) -> dict[str, Any]:
        """The policy without exploration, on validation seeds; the best one becomes the agent."""
        settings = self._settings
        seeds = [episode_seed(self._config.seed, "validation", k)
                 for k in range(settings.evaluate_rollouts)]
        policy = self._learner.policy.astype(np.float32)
        played = play(self._judge, Controllers(self._body, policy, self._judges), seeds,
                      game_named(self._config.game).max_steps)
        now = time.monotonic()
        losses = [row["loss"] for row in self.episodes[-LATELY:] if row["loss"] is not None]
        seconds = self.history[-1]["seconds"] if self.history else 0.0
        row = {"step": self.step, "episodes": len(self.episodes), "updates": self.updates,
               "lately": round(self._lately(), 4),
               "loss": round(float(np.mean(losses)), 6) if losses else None,
               "mean": round(float(played.returns.mean()), 4),
               "std": round(float(played.returns.std(ddof=1)) if len(seeds) > 1 else 0.0, 4),
               "seconds": round(seconds + now - self._clock, 2)}
        self._clock = now
        self.history.append(row)
        if self.best is row:
            save_npz(self._folder / "agent.npz", {"weights": policy[0]})
            save_json(self._folder / "agent.json", {
                "run": self._run.path.name, "by": self._config.controller.by,
                "world": self._config.evolve.world, "step": self.step, "mean": row["mean"],
                "episodes": len(seeds)})
        save_csv(self._folder / "history.csv", self.history)
        self.checkpoint()
        return {name: value for name, value in row.items() if value is not None}

    def checkpoint(self) -> None:
        """Put on disk all that learning goes on from."""
        self._chunks.write()
        numbers = self._memory.numbers()
        frames: Arrays = {}
        if self._frames is not None:
            self._frame_chunks.write()
            frames = self._frames.state()
        save_checkpoint(self._folder / "learner.npz", {
            "step": np.array(self.step), "episodes": np.array(len(self.episodes)),
            "learner_updates": np.array(self.updates),
            **{f"learner/{name}": array for name, array in self._learner.state().items()},
            **{f"memory/{name}": array for name, array in self._memory.state().items()},
            **{f"frames/{name}": array for name, array in frames.items()}})
        self._chunks.forget(numbers)
        if self._frames is not None:
            self._frame_chunks.forget(self._frames.numbers())
        self._saved = time.monotonic()
        self._run.checkpoint("learn")

    def _resume(self) -> None:
        """Take up the last checkpoint; what came after it will come again."""
        def use(state: Arrays, source: str) -> tuple[int, int]:
            step = load_step(state, source)
            self._learner.restore(_part(state, "learner"), source)
            self._memory.restore(_part(state, "memory"), self._chunks.rows)
            if self._frames is not None:
                self._frames.restore(_part(state, "frames"), self._frame_chunks.rows)
            self.step, self.updates = step, int(state["learner_updates"])
            return step, int(state["episodes"])

        step, episodes = resume_checkpoint(self._folder / "learner.npz", use) or (0, 0)
        self._chunks.go_on(step, self._memory.numbers())
        if self._frames is not None:
            self._frame_chunks.go_on(self._frames.next, self._frames.numbers())
        log = self._folder / "episodes.jsonl"
        rows = load_json_lines(log, LearningEpisode)
        self.episodes = rows[:episodes]
        if len(rows) > episodes:
            save_json_lines(log, self.episodes)
        self.history = [row for row in load_csv(self._folder / "history.csv", "step", "mean")
                        if row["step"] <= step]

    def _look(self) -> np.ndarray:
        return self._world.features()[0].copy()

    def _kept(self, seen: np.ndarray, before: np.ndarray | None = None,
              ended: bool = False) -> np.ndarray:
        """How a transition names what is seen: itself, or the numbers of its newest frame and of
        its episode's first; ``before``: the same of the step before."""
        if self._frames is None:
            return seen
        if before is not None and ended:  # it will never be looked at
            return before
        self._frame_chunks.add(self._frames.newest(seen).ravel())
        number = self._frames.add(seen)
        return np.array([number, number if before is None else before[1]])

    def _lately(self) -> float:
        return float(np.mean([row["score"] for row in self.episodes[-LATELY:]]))


def _learner(stage_run: Run, body: Body, seed: int, frames: FrameRing | None) -> Learner:
    from worldmodels_repro.learning.dqn import DQN
    from worldmodels_repro.learning.learner import set_threads
    from worldmodels_repro.learning.td3 import TD3

    config = stage_run.config
    assert body.network is not None  # controller.by says so
    set_threads(config.learn.threads)
    learner: Learner
    if isinstance(body.network, Joint):
        learner = _joint_learner(stage_run, body.network, seed)
    elif config.controller.by == "dqn":
        learner = DQN(body.network, config.learn, seed, frames)
    else:
        transition = None
        if config.learn.next != "none":
            from worldmodels_repro.models.pretraining import load_transition

            transition = load_transition(stage_run.path, config.pretrain, body.features,
                                         game_named(config.game).actions)
        learner = TD3(body.network, config.learn, seed, frames, transition)
    if config.controller.encoder == "tuned":
        learner.start_with(pretrained_encoder(stage_run.path, config))
    if config.learn.start is not None:
        learner.start_with(_moving(config.learn.start, body.shape))
    return learner


def _joint_learner(stage_run: Run, network: Joint, seed: int) -> Learner:
    from worldmodels_repro.learning.joint import JointLearner
    from worldmodels_repro.models.weights import load_weights

    config, path = stage_run.config, stage_run.folder("classify") / "weights.npz"
    how = config.controller.classes
    learnt = None if how == "fresh" else load_weights(needed(path, "classify"))
    return JointLearner(network, config.learn, config.classify, seed, learnt,
                        moves=not config.learn.frozen, classes=how != "frozen")


def _moving(run: str, shape: ControllerShape | Network) -> np.ndarray:
    """The weights (n,) by which the C of a run moves, for one of this shape.

    Raises:
        UserError: there are none, or it is of another shape.
    """
    agent = load_agent(Path(run))
    theirs, own = (part.moves if isinstance(part, Joint) else part
                   for part in (agent.body.shape, shape))
    if theirs != own:
        raise UserError(f"learn.start={run} holds another network than this config's: have their "
                        "game, controller.by, controller.inputs and learn.layers agree")
    return agent.weights[:own.weights]


def _world(stage_run: Run, body: Body, name: World, slots: int) -> EndingWorld:
    dream = dream_of(stage_run.path, stage_run.config, name)
    return WorldSpec(body, stage_run.config.evolve.renderer, slots, dream).build()


def _part(state: Arrays, name: str) -> Arrays:
    return {key.removeprefix(f"{name}/"): array for key, array in state.items()
            if key.startswith(f"{name}/")}
