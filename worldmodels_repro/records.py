"""What the JSON files of a run folder hold: the keys that reading them relies on."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # the one that pydantic can check before Python 3.12


class Marker(TypedDict):
    """``stage.json``: what a stage was made with, and how far it is."""

    state: Literal["running", "done"]
    settings: dict[str, Any]
    seconds: float
    facts: NotRequired[dict[str, Any]]
    cores: NotRequired[int]


# A name becomes a file's: it must not lead out of its folder.
ManifestLine = TypedDict("ManifestLine", {
    "episode": Annotated[str, Field(pattern=r"^[a-z]+-[0-9]+$")], "policy": str, "seed": int,
    "length": int, "return": float, "kept": bool})
"""A line of ``manifest.jsonl``: one episode that was played."""


class Evaluation(TypedDict):
    """A line of ``evaluations.jsonl``: what the search stands for on the validation tracks."""

    generation: int
    episodes: int
    mean: float
    std: float
    steps: int


class AgentOrigin(TypedDict):
    """``agent.json``: where an agent comes from, and what it scored where it was chosen.

    One that evolved is of a generation, one that learnt is of a step; ``episodes`` are those that
    ``mean`` is over.
    """

    run: str
    generation: NotRequired[int]
    step: NotRequired[int]
    episodes: NotRequired[int]
    mean: float


def called(origin: AgentOrigin) -> str:
    """What a caption calls an agent."""
    if "step" in origin:
        return f"agent of step {origin['step']:,}"
    return f"agent of generation {origin.get('generation', 0):,}"


class LearningEpisode(TypedDict):
    """A line of ``learn/episodes.jsonl``: an episode that a learner played, and learnt in.

    ``step`` counts the steps of all episodes up to its end; ``loss`` is the updates' mean, if any.
    """

    episode: int
    step: int
    steps: int
    score: float
    loss: float | None


class Score(TypedDict):
    """A line of ``episodes.jsonl``: one judged episode."""

    player: str
    seed: int
    score: float
    steps: int


class Summary(TypedDict):
    """What a results table says of some episodes."""

    episodes: int
    mean: float
    std: float
    ci95: Annotated[list[float], Field(min_length=2, max_length=2)]
    min: float
    max: float


class JudgedEpisode(TypedDict):
    """One episode in ``evaluation.json``."""

    seed: int
    score: float
    steps: int


class DreamScores(TypedDict):
    """What the agent scores in M's dream, in ``evaluation.json``."""

    temperature: float
    results: dict[str, Summary]
    episodes: NotRequired[dict[str, list[JudgedEpisode]]]


class Judgement(TypedDict):
    """``evaluation.json``: by player, every episode and what they come to."""

    environment: str
    unmodified: bool
    solved: float
    versions: dict[str, str]
    agent: AgentOrigin
    results: dict[str, Summary]
    dream: NotRequired[DreamScores]
    episodes: dict[str, list[JudgedEpisode]]


class Temperature(TypedDict):
    """What an agent scores in its dream and in the game, in ``temperatures.json``."""

    temperature: float
    dream: Summary
    real: Summary


class Temperatures(TypedDict):
    """``temperatures.json``: agents that were evolved in dreams of several temperatures."""

    environment: str
    temperatures: list[Temperature]
    random: Summary | None


class Horizon(TypedDict):
    """How far off a model's frames are so many steps ahead, in ``bench.json``.

    Attributes:
        model: its name.
        horizon: steps from the last frame that it was shown.
        episodes: that last so long.
        mse, std: the mean over them of the mean squared error of a frame's numbers, from 0 to 1,
            and their standard deviation.
        place: the mean distance, in pixels of a frame of 32, of the thing whose place is told;
            None where the game has no such thing.
    """

    model: str
    horizon: int
    episodes: int
    mse: float
    std: float
    place: float | None


class Bench(TypedDict):
    """``bench.json``: models of one game's frames on the same held-out episodes."""

    game: str
    rows: list[Horizon]


class Rented(TypedDict):
    """A line of ``machines.jsonl``: a machine that was rented for the run, and for how long."""

    machine: str
    instance_type: str
    spot: bool
    stage: str
    hours: Annotated[float, Field(ge=0)]
