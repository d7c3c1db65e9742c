"""Settings of the stage forward."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from worldmodels_repro.sections.kinds import MORE, Positive, Rate, Section, Share


class Forward(Section):
    """Stage forward: a network that predicts frames, one step after another."""

    network: Literal["rnn_deconv", "rnn_dense", "frame_transform", "spatial_transformer",
                     "assets"] = "rnn_deconv"
    """Which: a file each in models/forward/."""
    side: Literal[32, 64] = 32
    """Pixels of a predicted frame's side; 32 takes V's frames at half their size."""
    context: Literal[1, 2, 3, "serve"] = 2
    """Frames it is shown before it predicts, or what the game's serve tells in their place."""
    units: Positive = 64
    """Of the hidden state."""
    embedding: Positive = 32
    """Numbers that an action becomes."""
    filters: Positive = 32
    """spatial_transformer: of the convolutions that see a frame."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """frame_transform, spatial_transformer: share of what is seen of a frame that training leaves
    out."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Targets are drawn towards a half by this share."""
    outcomes: bool = True
    """Also learn each step's reward, and whether the episode ends with it."""
    outcome_weight: Annotated[float, Field(gt=0)] = 1e-3
    """Weight of these in the loss, beside the mean cross-entropy of a pixel's colour."""
    steps: Positive = Field(default=50_000, json_schema_extra=MORE)
    """Gradient steps."""
    fresh: Positive | None = None
    """Learn from so many episodes at a time that workers play meanwhile, in place of stored ones;
    rollouts says how, and rollouts.policies in which proportion who (None: from stored ones)."""
    renew: Positive = 64
    """fresh: how many of them give way to newer ones at each validation."""
    batch: Positive = 32
    """Windows a step."""
    sequence: Positive = 64
    """Steps of a window; shorter episodes are padded and masked."""
    compared: Positive | None = None
    """Frames of each window that are drawn and compared, at random (None: all of them)."""
    learning_rate: Rate = 1e-3
    """Adam's, at the first step."""
    divide_every: Positive = 15_000
    """After each so many steps the rate is divided by one more: 1, 2, 3 ..."""
    validation: Share = 0.05
    """Share of the episodes held out, whole."""
    validate_every: Positive = 500
    """Steps between validations (and checkpoints)."""
    start: str | None = None
    """A run folder whose network to start from (None: from scratch)."""

    @model_validator(mode="after")
    def _context_is_seen(self) -> Forward:
        if self.context == "serve" and self.network in ("frame_transform", "spatial_transformer"):
            raise ValueError(f"{self.network} needs a frame to start from: set forward.context to "
                             "1, 2 or 3, or take another forward.network")
        if self.dropout and self.network not in ("frame_transform", "spatial_transformer"):
            raise ValueError(f"forward.dropout does nothing in {self.network}: set it to 0.0, or "
                             "take frame_transform or spatial_transformer")
        if self.fresh is not None and self.renew > self.fresh:
            raise ValueError(f"forward.renew={self.renew} is more than there are: set it to "
                             f"forward.fresh={self.fresh} or less")
        if self.outcome_weight != 1e-3 and not self.outcomes:
            raise ValueError("forward.outcome_weight does nothing without outcomes: set "
                             "forward.outcomes=true, or forward.outcome_weight=0.001")
        return self

    @property
    def seen(self) -> int:
        """Frames before the first that is predicted: one beside the serve."""
        return 1 if self.context == "serve" else self.context
