"""Settings of the stage evaluate."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from worldmodels_repro.sections.kinds import MORE, Positive, Section


class Evaluate(Section):
    """Stage 6: the agent on held-out tracks of the unmodified environment."""

    episodes: Positive = Field(default=100, json_schema_extra=MORE)
    """Held-out tracks."""
    random_episodes: Annotated[int, Field(ge=0)] = Field(default=16, json_schema_extra=MORE)
    """Tracks that the random policy drives, for the same table."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Picks the held-out tracks; the same for all runs, so that runs compare."""
    changed: str | None = None
    """Judge in a world that the agent does not know (`worldmodels evaluate --worlds` tries all of a
    game's): colours, bars, blob, noise; CarRacing: friction; TakeCover: text."""
