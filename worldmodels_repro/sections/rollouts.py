"""Settings of the stage rollouts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from worldmodels_repro.sections.kinds import DRIVEN, MORE, Chance, Policy, Positive, Rate, Section


class Rollouts(Section):
    """Stage 1: episodes of the game, played by something that need not be good at it."""

    policies: dict[Policy, Annotated[int, Field(ge=0)]] = Field(
        default={"network": 10_000}, json_schema_extra=MORE)
    """Episodes to collect with each policy: network, brownian, held, controller, candidates,
    scripted (a game's own player, where it has one), or a way to make your own at
    path/to/file.py:NAME."""
    keep: str | None = None
    """A run folder whose episodes are this run's too, beside its own (None: its own alone)."""
    recorded: str | None = None
    """Episodes recorded elsewhere that are this run's too: an .npz of frames, actions, rewards and
    terminated, a folder of such files, or minari:NAME (None: none)."""
    renderer: Literal["fast", "original"] = "fast"
    """fast: the game's own dynamics, the picture in less time; original: the game's own."""
    max_steps: Positive = 1000
    """Steps after which an episode is cut."""
    min_steps: Positive = 1
    """Shorter episodes are played but not kept."""
    patience: Annotated[int, Field(ge=0)] = 0
    """End an episode after so many steps in a row without a gain; 0 never does."""
    held_steps: tuple[Positive, Positive] = (1, 10)
    """held: each uniform action lasts a uniform number of steps in this range. interrupted: so do
    uniform numbers in place of some of the agent's, which then drives for up to twice the most."""
    brownian_dt: Rate = 0.02
    """brownian: a += sqrt(dt) N(0, 1), clipped to the action space."""
    agent: str | Annotated[list[str], Field(min_length=1)] | None = None
    """controller, candidates, interrupted: the run folder whose V, M and C drive; of several, an
    episode each in turn. For candidates each episode's C is a draw from where that run's CMA-ES had
    come to."""
    agent_noise: Annotated[float, Field(ge=0, le=2)] = 0.0
    """controller: noise on the agent's actions, an Ornstein-Uhlenbeck walk; each episode's standard
    deviation is uniform from 0 to this."""

    stochasticity: tuple[Chance, Chance] = (0.5, 1.0)
    """scripted: each episode's share of uniformly random actions is uniform in this range."""

    @model_validator(mode="after")
    def _agent_is_named(self) -> Rollouts:
        driven = [name for name in DRIVEN if self.policies.get(name)]
        if driven and self.agent is None:
            raise ValueError(f"rollouts.policies asks for the {driven[0]}: name the run folder "
                             "that holds it with rollouts.agent, e.g. --set "
                             "rollouts.agent=logs/quick")
        return self

    @model_validator(mode="after")
    def _settings_mean_something(self) -> Rollouts:
        asked = {name for name, episodes in self.policies.items() if episodes}
        if self.agent and not asked & set(DRIVEN):
            raise ValueError("rollouts.agent does nothing without the controller's or candidates' "
                             "episodes: ask for some in rollouts.policies, or set "
                             "rollouts.agent=null")
        if self.agent_noise and "controller" not in asked:
            raise ValueError("rollouts.agent_noise does nothing without the controller's episodes: "
                             "ask for some in rollouts.policies, or set rollouts.agent_noise=0.0")
        if self.held_steps[0] > self.held_steps[1]:
            raise ValueError("rollouts.held_steps takes the fewest steps, then the most, "
                             "e.g. --set rollouts.held_steps=[1,10]")
        if self.stochasticity[0] > self.stochasticity[1]:
            raise ValueError("rollouts.stochasticity takes the least share, then the most, "
                             "e.g. --set rollouts.stochasticity=[0.5,1.0]")
        if self.min_steps > self.max_steps:
            raise ValueError("no episode is kept that is cut before rollouts.min_steps: set "
                             "rollouts.min_steps to rollouts.max_steps or less")
        return self

    @property
    def agents(self) -> list[str]:
        """The run folders of ``agent``."""
        return [self.agent] if isinstance(self.agent, str) else self.agent or []
