"""The stages, in order: all that is known of one stands in its row here.

A stage's name is its verb's, its file's (``stages/<name>.py``), its folder's in a run and, with its
number, its script's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        number: its place in the pipeline, from 1; stages that stand in for each other share one.
        name: of its verb, file, folder and script.
        help: what it does, in a line.
        sections: settings that decide its artefacts, beside those of the stages it needs.
        needs: stages before it that must be done, of those that the run has.
        reads: stages' folders, or files in them, that it opens.
        writes: files in its folder that later stages or reports open.
        spent: what its time went into: where the number stands, and its unit. ``steps`` is a fact
            of ``stage.json``; ``file.csv:column`` the last row's number; ``file.jsonl:key`` the
            lines' sum, and ``file.jsonl:`` their count.
        starts: stages whose folders it takes from another run that it is told to start from.
        hardware: the kind of machine it is rented: many cores, a few for what uses one or two of
            them, or a GPU; none for stages that run where you are.
        extra: the extra of this package that it needs; none for what every install can do.
        itself: whether, in a run of this config, it does the work of the stages that it needs:
            their settings count as before, their folders don't.
        belongs: whether a run of this config has it; by default every run does. One that none has
            is asked for by its verb alone.
        formerly: names that its folder had in earlier versions.
    """

    number: int
    name: str
    help: str
    sections: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    spent: Mapping[str, str] = field(default_factory=dict)
    starts: tuple[str, ...] = ()
    hardware: Literal["cores", "few", "gpu"] | None = None
    extra: str | None = None
    itself: Callable[[Any], bool] = lambda config: False
    belongs: Callable[[Any], bool] = lambda config: True
    formerly: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Where its ``run`` is."""
        return f"worldmodels_repro.stages.{self.name}"

    @property
    def script(self) -> str:
        """Its file in ``scripts/``."""
        return f"{self.number:02d}_{self.name}.sh"

    @property
    def folders(self) -> tuple[str, ...]:
        """Every name that its folder may have."""
        return (self.name, *self.formerly)

    def folder(self, run: Path) -> Path:
        """Its folder in a run; one that an earlier version named goes on with that name."""
        there = (run / name for name in self.formerly if (run / name).exists())
        return next(there, run / self.name)


def _sees(config: Any) -> bool:
    return bool(config.controller.sees_v)


def _foresees(config: Any) -> bool:
    return "forward" in config.evolve.worlds


def _pretrains(config: Any) -> bool:
    return bool(config.pretrain.networks)


def _classifies(config: Any) -> bool:
    return config.controller.classes in ("tuned", "frozen")


STAGES: dict[str, Stage] = {stage.name: stage for stage in (
    Stage(1, "rollouts", "collect episodes of the game",
          sections=("game", "seed", "rollouts"), writes=("manifest.jsonl",),
          spent={"episodes": "episodes", "frames": "steps of the game"},
          starts=("vae", "memory", "evolve"), hardware="cores",
          belongs=lambda config: _sees(config) or _pretrains(config) or (
              _foresees(config) and config.forward.fresh is None)),
    Stage(2, "vae", "train V on their frames",
          sections=("vae",), needs=("rollouts",), reads=("rollouts",),
          writes=("weights.npz", "history.csv", "reconstructions.npz"),
          spent={"history.csv:epoch": "epochs", "training_frames": "frames",
                 "parameters": "parameters"},
          starts=("vae",), hardware="gpu", extra="train", belongs=_sees),
    Stage(2, "pretrain", "train networks on random play before C learns",
          sections=("frames", "pretrain"), needs=("rollouts",), reads=("rollouts",),
          hardware="few", extra="train", belongs=_pretrains),
    Stage(2, "classify", "train what tells a map's windows apart",
          sections=("game", "seed", "classify"),
          writes=("weights.npz", "history.csv"),
          spent={"history.csv:step": "gradient steps", "parameters": "parameters"},
          extra="train", belongs=_classifies),
    Stage(3, "latents", "encode the episodes with V",
          needs=("vae",), reads=("rollouts", "vae"), spent={"episodes": "episodes"},
          hardware="gpu", belongs=_sees),
    Stage(4, "memory", "train M on the latents",
          sections=("memory",), needs=("latents",), reads=("rollouts/manifest.jsonl", "latents"),
          writes=("weights.npz", "starts.npz", "history.csv"),
          spent={"history.csv:step": "gradient steps", "parameters": "parameters"},
          starts=("memory",), hardware="gpu", extra="train", belongs=_sees),
    Stage(4, "forward", "train a network that predicts frames",
          sections=("forward",), needs=("rollouts",), reads=("rollouts",),
          writes=("weights.npz", "programs.npz", "contexts.npz", "history.csv"),
          spent={"history.csv:step": "gradient steps", "parameters": "parameters"},
          starts=("forward",), extra="train",
          itself=lambda config: config.forward.fresh is not None,
          belongs=_foresees),
    Stage(5, "evolve", "evolve C with CMA-ES, or have PPO learn it",
          sections=("game", "seed", "controller", "evolve", "frames", "ppo"),
          needs=("memory", "pretrain", "forward"),
          reads=("vae", "memory", "pretrain", "forward"),
          writes=("agent.npz", "agent.json", "generations.csv", "evaluations.jsonl"),
          spent={"generations": "generations", "steps": "steps"},
          starts=("vae", "memory", "evolve"), hardware="cores", extra="train",
          belongs=lambda config: config.controller.stage == "evolve"),
    Stage(5, "learn", "learn C by DQN or TD3",
          sections=("game", "seed", "controller", "evolve", "frames", "learn"),
          needs=("memory", "pretrain", "forward", "classify"),
          reads=("vae", "memory", "pretrain", "forward", "classify"),
          writes=("agent.npz", "agent.json", "history.csv", "episodes.jsonl"),
          spent={"episodes": "episodes", "steps": "steps", "updates": "updates"},
          hardware="few", extra="train", itself=lambda config: config.controller.classes == "fresh",
          belongs=lambda config: config.controller.stage == "learn"),
    Stage(6, "evaluate", "judge the agent on the unmodified game",
          sections=("evaluate",), needs=("evolve", "learn"),
          reads=("vae", "pretrain", "memory", "evolve", "learn"),
          writes=("evaluation.json", "episodes.jsonl"),
          spent={"episodes.jsonl:": "episodes", "episodes.jsonl:steps": "steps of the game"},
          hardware="cores", formerly=("evaluation",)),
    Stage(7, "figures", "draw the figures and GIFs",
          reads=("rollouts", "vae", "pretrain", "latents", "memory", "evolve", "learn", "evaluate",
                 "forward", "classify"),
          extra="figures"),
)}


def folder_names(places: tuple[str, ...]) -> tuple[str, ...]:
    """Stages' folders, or files in them, under every name that they may have in a run."""
    return tuple(f"{name}/{file}" if file else name
                 for stage, _, file in (place.partition("/") for place in places)
                 for name in STAGES[stage].folders)
