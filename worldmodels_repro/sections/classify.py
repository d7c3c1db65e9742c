"""Settings of the stage classify."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from worldmodels_repro.sections.kinds import MORE, Positive, Rate, Section


class Classify(Section):
    """Stage classify: a network learns which class of things a window of a map shows."""

    maps: tuple[Positive, Positive] = (800, 200)
    """Maps to learn from, and how many after them to validate on."""
    window: Literal[3, 5] = 5
    """Pixels of the side of what is seen."""
    output: Literal[1, 3] = 1
    """Pixels of the side of what is told of it: its middle, or the 3x3 there."""
    neighbours: bool = True
    """Examples are also the pixels around those that are of some class; else these alone."""
    units: Positive = 324
    """Of each dense layer."""
    layers: Positive = 4
    """Dense layers before the last."""
    normalise: bool = True
    """Batch normalisation behind each of them."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of their units that training leaves out."""
    balance: Literal["none", "inverse", "median", "map"] = "inverse"
    """What a pixel of each class weighs in the loss: alike; by inverse frequency, relative to
    empty ones; by median frequency; or inversely within each map, a weight map."""
    squared: bool = False
    """The squares of these weights."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """sgd: with momentum."""
    learning_rate: Rate = 0.01
    """Its rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """sgd's ..."""
    nesterov: bool = True
    """... and whether it looks ahead, as Nesterov's does."""
    steps: Positive = Field(default=20_000, json_schema_extra=MORE)
    """Gradient steps."""
    batch: Positive = 128
    """Windows a step."""
    validate_every: Positive = 200
    """Steps between validations (and checkpoints): an epoch."""
    validation_steps: Positive = 100
    """Batches of held-out windows in one, always the same ones."""

    @model_validator(mode="after")
    def _all_classes_are_there(self) -> Classify:
        if self.output > self.window:
            raise ValueError("classify.output is of the window's middle: set it to "
                             "classify.window or less")
        if self.output == 1 and not self.neighbours:
            raise ValueError("with classify.output=1 only neighbours are empty pixels to learn: "
                             "set classify.neighbours=true, or classify.output=3")
        return self
