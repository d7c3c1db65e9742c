"""What sections are made of: kinds of names and numbers, and how far a key may change."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import core_schema

from worldmodels_repro.plugins import is_plugin


class _OneOf:
    """Checks a name: one of these, or the place of a user's own; and says so in the schema.

    Args:
        names: that are known.
        behind: a pattern of what may follow either; nothing, by default.
    """

    def __init__(self, *names: str, behind: str = ""):
        self._names, self._behind = names, f"({behind})?$"

    def __call__(self, name: str) -> str:
        plain = re.sub(self._behind, "", name)
        if plain in self._names or is_plugin(plain):
            return name
        raise ValueError(f"{name!r} is not known: {', '.join(self._names)} are, or "
                         "path/to/file.py:NAME")

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(self, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "anyOf": [
            {"enum": list(self._names)},
            {"pattern": f"^({'|'.join(self._names)}){self._behind}"},
            {"pattern": rf"\.py:[A-Za-z_]\w*{self._behind}"}]}


DRIVEN = ("controller", "candidates", "interrupted")  # policies that an agent has a part in
Policy = Annotated[str, _OneOf("network", "brownian", "held", "scripted", *DRIVEN)]
GameName = Annotated[str, _OneOf(
    "car_racing", "take_cover", "pong", "cube_crash", "cart_pole", "acrobot", "pendulum",
    "lunar_lander", "lunar_lander_continuous", "detector", "detector_onward", "detector_random",
    "detector_raw", "detector_joint", behind=r"@[1-9]\d*")]
Optimizer = Literal["adam", "muon"]
Evolved = Literal["cma_es", "open_es", "pgpe"]
EVOLVED: tuple[Evolved, ...] = get_args(Evolved)  # who ask for candidates
CLIMBING: tuple[Evolved, ...] = ("open_es", "pgpe")  # ... in pairs, and go up a gradient
Feature = Literal["z", "h", "c", "o", "f"]
World = Literal["real", "dream", "forward"]
WORLDS: dict[str, str] = {"real": "the game", "dream": "M's dream",
                          "forward": "frames that a network predicts"}
"""Each ``World`` in words."""
TrackerName = Annotated[str, _OneOf("tensorboard", "wandb", "mlflow")]

# How a key may differ from the one that artefacts were made with:
SPEED: dict[str, Any] = {"resume": "speed"}  # never changes a result: free at any time
MORE: dict[str, Any] = {"resume": "more"}  # more of the same: its own stage goes on
END: dict[str, Any] = {"resume": "end"}  # the same, and less while its stage is not done

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Chance = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


def in_words(world: str, temperature: float) -> str:
    """A ``World``, and how hard it is where that can be set: M's dream at temperature 1.15."""
    return WORLDS[world] + (f" at temperature {temperature:g}" if world == "dream" else "")


class Section(BaseModel):
    """Settings that are checked to the letter: no unknown key, no silent conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True,
                              use_attribute_docstrings=True, allow_inf_nan=False)
