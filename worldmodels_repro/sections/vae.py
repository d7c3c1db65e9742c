"""Settings of the stage vae."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from worldmodels_repro.sections.kinds import MORE, Optimizer, Positive, Rate, Section, Share


class Vae(Section):
    """Stage 2: V, the variational autoencoder (appendix A.1)."""

    z: Annotated[int, Field(ge=1, le=1024)] = 32
    """Latent dimensions."""
    layers: str = "paper"
    """The table of V's layers: the paper's; half, with half its channels, about a quarter of its
    arithmetic; or your own Layers at path/to/file.py:NAME."""
    epochs: Annotated[int, Field(ge=0)] = Field(default=10, json_schema_extra=MORE)
    """Passes over the training frames (0: V is that of vae.start, as it is)."""
    frames_per_epoch: Positive | None = None
    """Stop an epoch after so many frames (None: all of them)."""
    batch: Positive = 100
    """Frames a step."""
    optimizer: Optimizer = "adam"
    """adam, as in the paper; or muon, whose steps move all directions of a weight matrix alike: it
    learns several times as much from as many frames, at a higher rate, e.g. 0.002."""
    learning_rate: Rate = 1e-4
    """The optimiser's."""
    cool: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Over this last share of the epochs the rate falls to a hundredth, in a straight line."""
    kl_tolerance: Annotated[float, Field(ge=0)] = 0.5
    """The KL term is max(KL, kl_tolerance * z): a budget each latent may spend freely."""
    square_weight: Annotated[float, Field(gt=0)] = 1.0
    """Weight of the sum of squared errors."""
    fourth_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the sum of errors to the fourth power, added to it: a small thing missed whole
    then weighs more than a large one that is a little off."""
    late: tuple[Positive, Share] | None = None
    """[N, share]: at least this share of the frames are of step N or later (None: as they are)."""
    mirror: bool = False
    """Half of the training frames are mirrored, left to right, where the game is symmetric."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Arithmetic of the layers; weights and losses are float32 either way. A CPU without bfloat16
    trains in float32 whatever is asked."""
    validation: Share = 0.05
    """Share of the episodes held out, whole, to choose the best epoch."""
    validation_frames: Positive = 10_000
    """At most so many frames of the held-out episodes are scored each epoch."""
    pool_mib: Annotated[int, Field(ge=16)] = 768
    """Memory of the shuffle pool that frames are drawn from, in MiB."""
    start: str | None = None
    """A run folder whose V to start from (None: from scratch)."""

    @model_validator(mode="after")
    def _some_v_there_is(self) -> Vae:
        if self.epochs == 0 and self.start is None:
            raise ValueError("vae.epochs=0 leaves V as another run has it: set vae.start to that "
                             "run, or vae.epochs to 1 or more")
        return self
