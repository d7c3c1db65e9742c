"""The tables that figures are drawn from: plain data, read by ``report/``, drawn by ``figures/``.

What is numbers alone is lists, and so is JSON; None stands where nothing was measured. Pictures
and clouds of points are arrays. The judge's scores are drawn from ``records.Judgement`` as it is.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

Column = list[float | None]


class Curve(TypedDict):
    """One quantity as training goes on, on training and on held-out data."""

    training: Column
    held_out: Column


class VaeCurves(TypedDict):
    """V's loss and its two terms, each a frame's, by epoch.

    The reconstruction error is the sum of squared errors over a frame's 64x64x3 numbers; KL and
    the tolerance are in nats; the loss adds max(KL, tolerance) (appendix A.1).
    """

    epoch: Column
    loss: Curve
    reconstruction: Curve
    kl: Curve
    tolerance: float


class Endings(TypedDict):
    """How M's ending head does on held-out data: shares, from 0 to 1."""

    recall: Column
    precision: Column


class MemoryCurves(TypedDict):
    """M's losses by gradient step.

    The negative log-likelihood of the next latent is in nats a dimension. A head that M lacks is
    None; the reward head's loss is its squared error.
    """

    step: Column
    nll: Curve
    endings: Endings | None
    reward: Curve | None


class FrameRows(TypedDict):
    """Frames in rows: name -> (n, 64, 64, 3) uint8, all of the same n; titles of the n columns."""

    rows: dict[str, np.ndarray]
    titles: list[str]


class LatentMap(TypedDict):
    """Frames of all episodes on a plane, with what was going on around them.

    Attributes:
        points: (n, 2), without a unit.
        action_name, action: what the first number of an action is; (n,) that number.
        score: (n,) return up to the frame.
        pace: (n,) mean reward of a step, within half a second of the frame.
        picked, frames: (k,) which points are shown as frames; (k, side, side, 3) uint8, those.
        apart: the least distance of two of those along the axis in which they differ more, as a
            share of the plane.
    """

    points: np.ndarray
    action_name: str
    action: np.ndarray
    score: np.ndarray
    pace: np.ndarray
    picked: np.ndarray
    frames: np.ndarray
    apart: float


class Expectation(TypedDict):
    """One of z's dimensions (from 0) as M expects it and as V has it, a number a step.

    Attributes:
        mean, low, high: of M's mixture: its mean, less and plus one standard deviation.
        posterior, draw: of V: the posterior's mean, and the draw of it that M is fed.
    """

    dimension: int
    mean: list[float]
    low: list[float]
    high: list[float]
    posterior: list[float]
    draw: list[float]


class Predictions(TypedDict):
    """Steps of an episode, and some of z's dimensions at each."""

    step: list[int]
    dimensions: list[Expectation]


class Mixtures(TypedDict):
    """M's mixtures of some latents, whole, over the steps of a bend: S of them.

    Attributes:
        step: of the episode.
        frames: (k, 64, 64, 3) uint8 of some of the steps, evenly.
        dimensions: of z, from 0.
        values: (n, G) for each dimension, the values that the density is told at.
        density: (n, S, G) of M's mixture for the step, told all before it.
        mean, draw: (n, S) of V: the posterior's mean, and the draw of it that M is fed.
        action_name, action: what the first number of an action is called; (S,) it.
    """

    step: np.ndarray
    frames: np.ndarray
    dimensions: np.ndarray
    values: np.ndarray
    density: np.ndarray
    mean: np.ndarray
    draw: np.ndarray
    action_name: str
    action: np.ndarray


class Architecture(TypedDict):
    """What a run's V, M and C are, in numbers.

    Attributes:
        game: that is judged.
        actions: what each number of an action is called.
        z: latent dimensions.
        encoder, decoder: the side and the channels of every map, the frame's among them.
        dense: numbers between z and the decoder's first map.
        units, mixtures, heads: M's LSTM, Gaussians a latent, and what else M foresees.
        sees: what C sees; ``layers``: inputs and outputs of each of its layers.
        parameters: of V, M and C.
    """

    game: str
    actions: list[str]
    z: int
    encoder: list[list[int]]
    decoder: list[list[int]]
    dense: int
    units: int
    mixtures: int
    heads: list[str]
    sees: list[str]
    layers: list[list[int]]
    parameters: dict[str, int]


class ControllerMap(TypedDict):
    """A linear C's weights.

    Attributes:
        actions: what each number of an action is called, A of them.
        parts: of what C sees, by name: A rows of weights.
        bias: A numbers; none where C has none.
    """

    actions: list[str]
    parts: dict[str, list[list[float]]]
    bias: list[float]


class Scored(TypedDict):
    """What some episodes come to."""

    mean: float
    std: float
    ci95: list[float]


class Ablation(TypedDict):
    """One C beside others of the same V: what it sees, how many numbers it has, what it scores."""

    name: str
    sees: str
    weights: int
    result: Scored
    scores: list[float]


class Ablations(TypedDict):
    """Runs that share a V, on held-out episodes."""

    environment: str
    solved: float
    rows: list[Ablation]


class TemperatureScore(TypedDict):
    """What an agent that was evolved at a temperature scores in its dream and in the game."""

    temperature: float
    dream: Scored
    real: Scored


class TemperatureScores(TypedDict):
    """Agents of several temperatures; and what a random policy scores in the game, if known."""

    environment: str
    solved: float
    rows: list[TemperatureScore]
    random: Scored | None


class Cost(TypedDict):
    """What one stage took: seconds, and counts of what they went into."""

    stage: str
    done: bool
    seconds: float
    spent: dict[str, int]


class Costs(TypedDict):
    """What a run took, and what its stages cost, or would have, on rented machines.

    ``dollars`` is of the stages that machines are rented for; ``basis`` what it rests on.
    """

    stages: list[Cost]
    dollars: dict[str, float]
    basis: str


class Validation(TypedDict):
    """A search's mean on seeds of its own: what it returns, and half of the 95 % interval."""

    generation: int
    mean: float
    interval: float


class Learning(TypedDict):
    """What a learner's episodes returned, and its policy without exploration.

    Attributes:
        step: steps of the game at each episode's end.
        score: of each episode.
        lately: the mean of the last hundred.
        validations: by step: ``mean`` and ``interval``, half of a 95 % interval.
        world: where C learns, as ``evolve.world`` has it.
        solved: the return that counts as solved.
    """

    step: list[int]
    score: list[float]
    lately: list[float]
    validations: list[dict[str, float]]
    world: str
    solved: float


class Generations(TypedDict):
    """Returns of each generation's candidates, and how the search's mean fared.

    Attributes:
        generation: its number.
        best, mean, std, worst: over the population, each candidate's mean over its episodes.
        steps: that its candidates played.
        hours: of the evolution, by then.
        validations: of the search's mean.
        world: where C evolves, as ``evolve.world`` has it.
        solved: the return that counts as solved.
    """

    generation: list[float]
    best: list[float]
    mean: list[float]
    std: list[float]
    worst: list[float]
    steps: list[float]
    hours: list[float]
    validations: list[Validation]
    world: str
    solved: float


class Reached(TypedDict):
    """A milestone over seeds: how many got there, and the medians of what that took them."""

    score: float
    seeds: int
    steps: float | None
    core_hours: float | None


class SeedCurve(TypedDict):
    """One seed's validations: the search's mean, by generation and by steps of all kinds."""

    seed: int
    score: list[float]
    generation: list[int]
    steps: list[int]


class Group(TypedDict):
    """Runs that differ in their seed alone, on held-out episodes.

    Attributes:
        name: of the folder, or the run.
        runs, seeds, means: folder, seed and mean score of each run.
        episodes: of all runs together.
        mean, iqm: over those: mean, and mean of the middle half; with 95 % intervals.
        median, worst: of ``means``.
        lowest, percentile: the least score of an episode, and the 1st percentile.
        solved: share of episodes that score so much.
        milestones: what validated scores took.
        curves: a run each.
    """

    name: str
    runs: list[str]
    seeds: list[int]
    means: list[float]
    episodes: int
    mean: float
    ci95: list[float]
    median: float
    iqm: float
    iqm_ci95: list[float]
    worst: float
    lowest: float
    percentile: float
    solved: float
    milestones: list[Reached]
    curves: list[SeedCurve]


class Difference(TypedDict):
    """How a group differs from the first, on the ``shared`` tracks that both were judged on.

    Attributes:
        mean: of the paired differences; ``ci95`` by drawing seeds and tracks anew.
        improvement: the chance that one of its runs beats one of the first's on a track.
        verdict: better, worse, or within the noise.
    """

    base: str
    name: str
    shared: int
    mean: float
    ci95: list[float]
    improvement: float
    improvement_ci95: list[float]
    verdict: str


class Comparison(TypedDict):
    """Groups of runs of one game, judged by the same judge."""

    environment: str
    solved: float
    groups: list[Group]
    differences: list[Difference]


class Sample(TypedDict):
    """Held-out episodes of the game as V, M and C met them; what a page is alive with.

    Attributes:
        seed, first: the seed of the agent's episode that is kept, and the step it is kept from.
        frames, z, actions, rewards: of T of its steps, (T, 64, 64, 3) uint8, (T, z), (T, A), (T,).
        h, c: (units,) M's state before the first of them.
        quantiles: (5, z) of V's posterior means: 1, 25, 50, 75 and 99 %.
        variance: (z,) of them.
        shown_frames, shown_mu: (n, 64, 64, 3) and (n, z): frames from V's worst to its best.
        map_points: (m, 2) moments of all episodes on a plane, by t-SNE.
        map_frames, map_z, map_h, map_c: (m, 32, 32, 3), (m, z), (m, units) twice: those moments.
        map_actions, map_score, map_pace: (m, A) what was done then, (m,) the return up to then, and
            (m,) the mean reward of a step within half a second.
    """

    seed: np.ndarray
    first: np.ndarray
    frames: np.ndarray
    z: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    h: np.ndarray
    c: np.ndarray
    quantiles: np.ndarray
    variance: np.ndarray
    shown_frames: np.ndarray
    shown_mu: np.ndarray
    map_points: np.ndarray
    map_frames: np.ndarray
    map_z: np.ndarray
    map_h: np.ndarray
    map_c: np.ndarray
    map_actions: np.ndarray
    map_score: np.ndarray
    map_pace: np.ndarray
