"""C: how it comes to be, and what it sees."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from worldmodels_repro.sections.kinds import EVOLVED, Evolved, Feature, Section


class Controller(Section):
    """C: how it comes to be, what it sees, and the evolved one's optional hidden layer."""

    by: Literal[Evolved, "ppo", "dqn", "td3"] = "cma_es"
    """cma_es: the stage evolve makes C as the paper does; open_es, pgpe: by another strategy; ppo:
    the same C there, by the gradient of what its noisy actions bring; dqn, td3: the stage learn
    makes it, and its layers are learn's.
    DQN picks from a game's choices, PPO and TD3 give numbers in their ranges."""
    inputs: tuple[Feature, ...] = ("z", "h")
    """What C sees, in this order: z, M's hidden state h, M's cell state c; or [o], the game's own
    state, where it has one; or [f], frames as the section frames says: then there are no V and no
    M, and no rollouts but for what pretrain learns from."""
    encoder: Literal["fresh", "tuned", "frozen"] = "fresh"
    """[f]: what sees the frames is the first part of C's network, learnt with it from nothing
    (fresh) or from what pretrain's autoencoder has learnt (tuned); or it is that, and C sees its
    numbers (frozen)."""
    classes: Literal["fresh", "tuned", "frozen"] | None = None
    """A game where C also tells classes apart: what does so is learnt with C from nothing (fresh),
    or from what the stage classify has learnt (tuned); or it is that (frozen)."""
    hidden: Annotated[int, Field(ge=0)] = 0
    """Units of a tanh layer between (0: linear, the paper's)."""
    bias: bool = True
    """Whether layers have biases."""
    mirror: bool = False
    """C is asked twice, of what it sees and of the mirror image of that, and does the mean of its
    first answer and its second one mirrored back (the symmetrised policy of van der Pol et al.
    2020). So it is as symmetric as the game, whatever its weights. Nothing where the game has no
    mirror image, or choices in place of numbers."""

    @model_validator(mode="after")
    def _inputs_differ(self) -> Controller:
        if not self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise ValueError("controller.inputs takes one or more of z, h, c, each once")
        for alone, what in (("o", "the game's state"), ("f", "frames")):
            if alone in self.inputs and len(self.inputs) > 1:
                raise ValueError(f"controller.inputs takes {alone}, {what}, alone: set "
                                 f"controller.inputs=[{alone}]")
        if self.encoder != "fresh" and self.inputs != ("f",):
            raise ValueError(f"controller.encoder={self.encoder} sees frames: set "
                             "controller.inputs=[f], or controller.encoder=fresh")
        if self.stage == "evolve" and self.inputs == ("f",) and self.encoder != "frozen":
            raise ValueError(f"{self.by} can't find what sees frames: set "
                             "controller.encoder=frozen, or controller.by to dqn or td3")
        if self.mirror and (self.by not in EVOLVED or not self.sees_v):
            raise ValueError("controller.mirror is for a C that is evolved and V sees for: set "
                             "controller.by=cma_es and controller.inputs=[z,h], or "
                             "controller.mirror=false")
        if self.classes is not None and (self.by != "dqn" or self.inputs != ("o",)):
            raise ValueError("controller.classes is for DQN on a game's own state: set "
                             "controller.by=dqn and controller.inputs=[o], or "
                             "controller.classes=null")
        return self

    @property
    def sees_v(self) -> bool:
        """Whether C sees what V (and M) make of frames."""
        return not {"o", "f"} & set(self.inputs)

    @property
    def sees_frames(self) -> bool:
        """Whether what sees frames is a part of C's own network."""
        return self.inputs == ("f",) and self.encoder != "frozen"

    @property
    def stage(self) -> Literal["evolve", "learn"]:
        """The stage that makes C."""
        return "evolve" if self.by in (*EVOLVED, "ppo") else "learn"
