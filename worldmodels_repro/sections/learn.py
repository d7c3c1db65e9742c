"""Settings of the stage learn."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from worldmodels_repro.sections.kinds import END, SPEED, Positive, Rate, Section


class Learn(Section):
    """Stage 5 where controller.by is dqn or td3. Where C learns, and how it is shown there, stands
    in evolve: world, temperature, drawn_endings, dropout, select, max_steps, sample_z, renderer."""

    steps: Positive = Field(default=50_000, json_schema_extra=END)
    """Steps of the game after which no episode begins."""
    episodes: Positive | None = Field(default=None, json_schema_extra=END)
    """Episodes after which none begins (None: no limit)."""
    layers: Annotated[tuple[Positive, ...], Field(min_length=1)] = (64,)
    """Units of the layers between what C sees and what it gives; TD3's critics have the same."""
    activation: Literal["relu", "tanh"] = "relu"
    """Of those layers: relu with He's first weights, tanh with Xavier's."""
    double: bool = True
    """dqn: the next action is chosen by the network, and valued by its target (double Q)."""
    dueling: bool = False
    """dqn: a value of the state and an advantage of each choice, in place of a value of each."""
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Discount of the rewards to come, a step."""
    learning_rate: Rate = 5e-4
    """Adam's."""
    clip: Annotated[float, Field(gt=0)] | None = None
    """The gradient of each array of weights is scaled down to this norm (None: never)."""
    batch: Positive = 32
    """Transitions in an update."""
    delay: Positive = 1000
    """Steps before the first update."""
    every: Annotated[int, Field(ge=0)] = 1
    """Steps between updates (0: at an episode's end, as many as it had steps)."""
    updates: Positive = 1
    """Updates each time."""
    target_every: Positive = 1000
    """dqn: steps after which the target becomes the network."""
    epsilon: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (
        1.0, 0.01)
    """dqn: share of actions that are uniformly random, at first and at last ..."""
    epsilon_steps: Positive = 10_000
    """... reached in a straight line after so many steps."""
    softmax: Annotated[float, Field(ge=0)] | None = None
    """dqn: the other actions are drawn in proportion to exp(softmax * Q) (None: the best one)."""
    random_steps: Annotated[int, Field(ge=0)] = 10_000
    """td3: steps at the start whose actions are uniformly random."""
    noise: Annotated[float, Field(ge=0)] = 0.1
    """td3: standard deviation of the noise on actions, whose range is from -1 to 1 here."""
    target_noise: Annotated[float, Field(ge=0)] = 0.2
    """td3: the same of the target's actions ..."""
    target_clip: Annotated[float, Field(ge=0)] = 0.5
    """... which is clipped to this."""
    policy_every: Positive = 2
    """td3: updates of the critics for each of the actor and of the targets."""
    polyak: Annotated[float, Field(ge=0, lt=1)] = 0.995
    """td3: share of a target that stays at each of those."""
    next: Literal["none", "beside", "late", "alone"] = "none"
    """td3: how the critics are told what pretrain's transition network expects next: beside what C
    sees and does; late, behind their first layer; alone, in place of both."""
    ahead: Annotated[int, Field(ge=1, le=20)] = 1
    """td3: steps that they are told of; from the second on the policy acts."""
    start: str | None = None
    """dqn: a run folder whose C to start from (None: from scratch)."""
    frozen: bool = False
    """dqn, with controller.classes fresh or tuned: how to move stays as learn.start has it, and
    classes alone are learnt."""
    end_reward: float | None = None
    """Learnt in place of the reward of a step that ends the episode (None: the game's own)."""
    buffer: Positive = 50_000
    """Transitions that are remembered."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.0
    """They are drawn in proportion to |error|^alpha (0: uniformly) ..."""
    beta: Annotated[float, Field(ge=0, le=1)] = 0.5
    """... and weigh (N P)^-beta, the largest weight of a batch being 1."""
    omega: Annotated[float, Field(gt=0, le=1)] | None = None
    """Retention: half of the memory keeps what the policy would not do any more; this share is
    drawn from the half that forgets the oldest (None: all of it is that)."""
    evaluate_every: Positive = 5000
    """Steps between evaluations of the policy without exploration; the best one is the agent."""
    evaluate_rollouts: Positive = 16
    """Episodes of each such evaluation, on seeds that training never sees."""
    threads: Annotated[int, Field(ge=0)] = Field(default=1, json_schema_extra=SPEED)
    """TensorFlow's threads (0: one a core); small networks are fastest with one."""

    @model_validator(mode="after")
    def _memory_serves(self) -> Learn:
        least = self.batch * (1 if self.omega is None else 2)
        if self.buffer < least:
            raise ValueError(f"learn.buffer={self.buffer} is smaller than a batch of {self.batch}"
                             f"{'' if self.omega is None else ' in each half'}: set learn.buffer="
                             f"{least} or more")
        if self.next == "none" and self.ahead > 1:
            raise ValueError("learn.ahead does nothing with learn.next=none: set learn.ahead=1, or "
                             "learn.next to beside, late or alone")
        if self.every == 0 and self.updates > 1:
            raise ValueError("learn.updates does nothing with learn.every=0, where an episode's "
                             "steps say how many: set learn.updates=1")
        return self
