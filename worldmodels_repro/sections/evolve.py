"""Settings of the stage evolve: of CMA-ES, and of PPO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from worldmodels_repro.sections.kinds import END, SPEED, Positive, Rate, Section, World


class Evolve(Section):
    """Stage 5: CMA-ES on C (appendix A.4), or PPO on it (section ppo)."""

    world: World = "real"
    """Where C evolves: in the real game, in M's dream of it (section 4), or, forward, in the frames
    that a network predicts, which V or C see as they see the game's."""
    temperature: Annotated[float, Field(ge=0.01, le=10)] = 1.0
    """dream: mixture logits are divided by it, noise is scaled by its root; more is harder."""
    temperature_spread: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """dream: each dream has a temperature of its own, uniform within this share of that one."""
    drawn_endings: bool = False
    """dream: an episode ends by a draw with M's probability of it, in place of where M's logit is
    above 0 (the paper's): C also learns to avoid what M only fears."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """dream: each dream lacks this share of what memory.dropout leaves out, from its first step to
    its last: an M of its own for every dream."""
    select: World | None = None
    """Where the search's mean, PPO's C without noise, is evaluated, which picks the agent (None:
    where C evolves)."""
    generations: Positive = Field(default=1800, json_schema_extra=END)
    """Generations to evolve."""
    budget: Positive | None = Field(default=None, json_schema_extra=END)
    """Training steps after which no generation begins (None: no limit): ablations share one."""
    population: Annotated[int, Field(ge=4)] = 64
    """Candidates a generation."""
    rollouts: Positive = 16
    """Episodes a candidate; fitness is their mean."""
    worst: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fitness is the mean over this share of a candidate's episodes, its worst (1: over all)."""
    sift: Positive = 1
    """real: ask for so many times the population, have all of them dream, and let those that
    dream best play the game (1: all play)."""
    sift_rollouts: Positive = 16
    """Dreams of each candidate that is sifted."""
    sigma: Annotated[float, Field(gt=0)] = 0.1
    """The strategy's first step size."""
    sigma_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """After each generation the step size is multiplied by this, whatever else moves it."""
    learning_rate: Rate = 0.05
    """open_es, pgpe: Adam's, of the mean."""
    diagonal: bool = False
    """Adapt variances only (separable CMA-ES): faster at first, blind to correlations."""
    common_tracks: bool = True
    """All candidates of a generation drive the same tracks, so that luck is shared."""
    max_steps: Positive = 1000
    """Steps after which a training episode is cut."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Training episodes end after so many steps in a row without a gain (0: never do)."""
    sample_z: bool = True
    """C sees a posterior sample, as in the paper, or the mean."""
    untrained_memory: bool = False
    """Ablation: M keeps its random weights."""
    renderer: Literal["fast", "original"] = "fast"
    """fast: the game's own dynamics, the picture in less time; original: the game's own."""
    precision: Literal["f32", "bf16", "int8", "fast"] = "f32"
    """Arithmetic of V's encoder and of M's products in the workers; bf16 is f32 on a CPU without
    bfloat16, int8 is the encoder's alone; fast is bf16 where the CPU has it, and int8 where not."""
    evaluate_every: Positive = 25
    """Generations between evaluations of the search's mean."""
    evaluate_rollouts: Positive = 1024
    """Episodes of each such evaluation, on fixed tracks that training never sees."""
    start: str | None = None
    """A run folder whose agent to start from (None: all weights zero)."""
    start_spread: bool = False
    """Start where that run's CMA-ES had come to, not at its agent: the mean and the covariance, as
    wide as evolve.sigma says."""
    slots: Positive = 16
    """Episodes that a worker steps in lockstep; dreams are fastest with 128 or more."""
    chunk: Annotated[int, Field(ge=0)] = Field(default=0, json_schema_extra=SPEED)
    """Episodes a worker takes at a time (0: its whole share of a generation)."""
    workers: Annotated[int, Field(ge=0)] = Field(default=0, json_schema_extra=SPEED)
    """Worker processes, for every stage (0: one a core)."""
    hang_after: Annotated[int, Field(ge=0)] = Field(default=1800, json_schema_extra=SPEED)
    """Seconds without a result after which workers count as hung, for every stage (0: never)."""

    @model_validator(mode="after")
    def _starts_and_sifts_mean_something(self) -> Evolve:
        if self.start_spread and (self.start is None or self.diagonal):
            raise ValueError("evolve.start_spread needs a run to start from and a whole "
                             "covariance: set evolve.start and evolve.diagonal=false, or "
                             "evolve.start_spread=false")
        if self.sift > 1 and self.world != "real":
            raise ValueError("evolve.sift is for C that evolves in the game: set "
                             "evolve.world=real, or evolve.sift=1")
        return self

    @property
    def worlds(self) -> tuple[World, World]:
        """Where C evolves, and where its mean is evaluated."""
        return self.world, self.select or self.world


class Ppo(Section):
    """Stage 5 where controller.by is ppo. Where C learns, how long and how it is evaluated stands
    in evolve; population, rollouts, worst, sift, sigma and others of CMA-ES's do nothing."""

    episodes: Positive = 64
    """Whole episodes between updates."""
    epochs: Positive = 3
    """Times an update goes through their steps."""
    batch: Positive = 2048
    """Steps in a gradient step."""
    kl: Annotated[float, Field(gt=0)] = 0.005
    """How far an update shall move the policy, in nats: the rate of C and its noise follows."""
    learning_rate: Rate = 1e-3
    """Adam's at first, and of the critic, which tells what a state is worth, throughout."""
    critic: Positive = 128
    """Its tanh units."""
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Discount of the rewards to come, a step."""
    trace: Annotated[float, Field(ge=0, le=1)] = 0.95
    """lambda: 1 trusts what came, 0 what the critic thinks of the next state."""
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """An action that has become so much likelier, or less, is not moved on."""
    sigma: Annotated[float, Field(gt=0)] = 1.0
    """First deviation of the noise on what C gives before tanh; it is learnt, too."""
    entropy: Annotated[float, Field(ge=0)] = 0.001
    """What a nat more of noise is worth."""
