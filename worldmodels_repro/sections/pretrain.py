"""Settings of the stage pretrain, and of frames where there is no V."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from worldmodels_repro.sections.kinds import MORE, Positive, Rate, Section, Share


class Frames(Section):
    """Frames for those without V: what C sees where controller.inputs is [f], and what pretrain
    learns from."""

    stack: Annotated[int, Field(ge=1, le=16)] = 4
    """Frames seen together; an episode's first stands for those before it."""
    gray: bool = True
    """Gray, or in colours."""
    background: bool = False
    """Take the episode's first frame away: what is left is what has moved."""
    skip: Positive = 1
    """Steps of the game from one look to the next, all with the same action; learn and evolve then
    count looks."""
    layers: Literal["atari", "pooled", "deep_tamer", "strided", "strided_2", "strided_1"] = "atari"
    """The convolutions that see them, a table in models/convolutions.py."""
    latent: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Numbers that a dense layer behind them gives (None: what the last convolution leaves)."""


Pretrained = Literal["autoencoder", "transition", "decoder", "regressor"]


class Pretrain(Section):
    """Stage pretrain: networks that learn from random play before C does."""

    networks: tuple[Pretrained, ...] = ()
    """autoencoder: frames to frames through few numbers (M1); transition: what is seen and what is
    done to what is seen next (M2); decoder: the game's state to a frame; regressor: frames to the
    state."""
    sees: Literal["o", "f"] = "o"
    """transition: what moves on, the game's state o, or the autoencoder's numbers of frames f."""
    hidden: Annotated[tuple[Positive, ...], Field(min_length=1)] = (256, 256)
    """transition, decoder, regressor: units of their dense layers; the decoder takes the last ones
    for pixels, 8x8 of them."""
    activation: Literal["relu", "tanh"] = "relu"
    """Of those layers."""
    normalise: bool = True
    """States are taken less their mean and over their deviation, one of each for all numbers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of what the first layers that draw frames leave out in training."""
    steps: Positive = Field(default=10_000, json_schema_extra=MORE)
    """Gradient steps of each network."""
    batch: Positive = 32
    """Examples in a step."""
    shuffle: bool = True
    """Examples of a step are drawn from all episodes; false: they follow each other."""
    learning_rate: Rate = 1e-3
    """Adam's."""
    validation: Share = 0.1
    """Share of the episodes held out, whole."""
    validate_every: Positive = 500
    """Steps between validations (and checkpoints)."""

    @model_validator(mode="after")
    def _each_once(self) -> Pretrain:
        if len(set(self.networks)) != len(self.networks):
            raise ValueError("pretrain.networks takes each name once")
        if self.sees == "f" and "autoencoder" not in self.networks:
            raise ValueError("pretrain.sees=f is of the autoencoder's numbers: have autoencoder in "
                             "pretrain.networks, or set pretrain.sees=o")
        if "decoder" in self.networks and self.hidden[-1] % 64:
            raise ValueError("the decoder draws pretrain.hidden's last units as 8x8 pixels: make "
                             "them 64, or a multiple of it")
        return self
