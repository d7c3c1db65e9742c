"""C's weights: one number for each thing that it sees and each that it does."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.controller import ControllerShape
from worldmodels_repro.run import Run
from worldmodels_repro.tables import ControllerMap
from worldmodels_repro.worlds.agent import load_agent


def controller_map(run: Run) -> ControllerMap:
    """W and b of tanh(W [z, h] + b) (section 2.4), by what they belong to.

    Raises:
        UserError: there is no C, or it is not linear.
    """
    agent = load_agent(run.path)
    body, shape = agent.body, agent.body.shape
    if not isinstance(shape, ControllerShape) or shape.hidden:
        raise UserError(f"{run.path}'s C has layers between: its weights are no map of what it "
                        "sees")
    (matrix, bias), = shape.parts(agent.weights[None])  # (1, A, F), (1, A)
    ends = np.cumsum([body.sizes[name] for name in body.inputs])[:-1]
    parts = np.split(matrix[0], ends, axis=1)  # (A, n) each
    return {"actions": game_named(run.config.game).action_names,
            "parts": {name: part.tolist() for name, part in zip(body.inputs, parts, strict=True)},
            "bias": [] if bias is None else bias[0].tolist()}
