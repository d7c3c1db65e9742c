"""Settings of the stage memory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from worldmodels_repro.sections.kinds import MORE, Optimizer, Positive, Rate, Section, Share


class Memory(Section):
    """Stage 4: M, the mixture-density recurrent network (appendix A.2)."""

    units: Positive = 256
    """LSTM units."""
    mixtures: Positive = 5
    """Gaussians for each latent dimension."""
    steps: Positive = Field(default=4000, json_schema_extra=MORE)
    """Gradient steps."""
    batch: Positive = 100
    """Sequences a step."""
    sequence: Positive = 999
    """Steps of a sequence; shorter episodes are padded and masked."""
    optimizer: Optimizer = "adam"
    """adam, as in the paper; or muon, whose steps move all directions of a weight matrix alike: it
    learns several times as much from as many windows, at a higher rate, e.g. 0.005."""
    learning_rate: Rate = 1e-3
    """The optimiser's, at the first step."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The rate is multiplied by this each step ..."""
    min_learning_rate: Rate = 1e-5
    """... down to this."""
    cool: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Over this last share of the steps the rate also falls to a hundredth, in a straight line."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are clipped, element by element, to this magnitude."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Arithmetic of the layers; weights and losses are float32 either way. A CPU without bfloat16
    trains in float32 whatever is asked."""
    restart_input: bool = False
    """M also sees whether the step is an episode's first (the paper's Doom M); sequences then
    run on from one episode to the next."""
    taken_actions: bool = False
    """M sees what the game makes of an action (Doom: -1, 0 or 1), not the number that C gave."""
    done: bool = False
    """A head for 'the episode ends with this step' (an episode that is cut does not)."""
    done_weight: Annotated[float, Field(gt=0)] = 10.0
    """Weight of the rare ending steps in that head's cross-entropy."""
    reward: bool = False
    """A head for the step's reward (squared error)."""
    reward_clip: Annotated[float, Field(gt=0)] = 10.0
    """That head learns rewards no larger than this, either way: one -100 would drown the rest."""
    foresight: tuple[Positive, ...] = ()
    """Also learn, from M's state, whether the episode ends within so many steps, for each of these:
    so that the state holds on to what is coming. For training alone; needs memory.done."""
    endings: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training windows that are drawn among those which hold an ending. They weigh
    less in turn, so that probabilities stay what they are."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of z's dimensions, and of h's before the mixture, that a training window lacks, the
    same ones for all of its steps."""
    adrift: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training windows in which M is fed its own draws from some step on, as in a
    dream: there it learns endings and rewards of what the game did, and no next z."""
    adrift_steps: Positive = 25
    """adrift: for so many steps, or to the episode's end."""
    mirror: bool = False
    """Half of the training windows are mirrored, actions too, where the game is symmetric; needs
    latents of vae.mirror=true."""
    validation: Share = 0.05
    """Share of the episodes held out, whole."""
    validate_every: Positive = 200
    """Steps between validations (and checkpoints)."""
    start: str | None = None
    """A run folder whose M to start from (None: from scratch)."""

    @model_validator(mode="after")
    def _weighted_heads_are_there(self) -> Memory:
        for head, setting in (("done", "done_weight"), ("reward", "reward_clip")):
            default = type(self).model_fields[setting].default
            if not getattr(self, head) and getattr(self, setting) != default:
                raise ValueError(f"memory.{setting} does nothing without that head: set "
                                 f"memory.{head}=true, or memory.{setting}={default}")
        if self.foresight and not self.done:
            raise ValueError("memory.foresight is of endings: set memory.done=true, or drop it")
        if self.adrift and not (self.done or self.reward):
            raise ValueError("memory.adrift is for endings and rewards: set memory.done=true or "
                             "memory.reward=true, or memory.adrift=0.0")
        if self.adrift_steps != type(self).model_fields["adrift_steps"].default \
                and not self.adrift:
            raise ValueError("memory.adrift_steps does nothing without memory.adrift: set a share "
                             "of the windows, e.g. --set memory.adrift=0.25")
        return self
