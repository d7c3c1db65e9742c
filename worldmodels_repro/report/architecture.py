"""What V, M and C are, in a run's own numbers."""

from __future__ import annotations

from worldmodels_repro.config import Config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.mdn_rnn.head import Head
from worldmodels_repro.models.vae.layers import layers_named
from worldmodels_repro.run import Run
from worldmodels_repro.storage import needed
from worldmodels_repro.tables import Architecture
from worldmodels_repro.worlds.agent import sees, shape_of


def architecture(run: Run) -> Architecture:
    """The run's V, M and C (figures 4 and 22 of the paper).

    Raises:
        UserError: V or M has not been trained, or the run has none.
    """
    config, game = run.config, game_named(run.config.game)
    if not config.controller.sees_v:
        raise UserError(f"{run.path}'s C sees the game without a V: there is none, and no M")
    for stage in ("vae", "memory"):
        needed(run.folder(stage) / "weights.npz", stage)
    z, m, layers = config.vae.z, config.memory, layers_named(config.vae.layers)
    encoder = zip(layers.sides, [3, *(row.filters for row in layers.encoder)], strict=True)
    decoder = zip(layers.decoder_sides[1:], (row.filters for row in layers.decoder), strict=True)
    return {"game": game.judge_id, "actions": game.action_names, "z": z,
            "encoder": [list(row) for row in encoder], "decoder": [list(row) for row in decoder],
            "dense": layers.dense, "units": m.units, "mixtures": m.mixtures,
            "heads": ["the end"] * m.done + ["the reward"] * m.reward,
            "sees": sees(config),
            "layers": [list(row) for row in shape_of(config).layers],
            "parameters": parameters(config)}


def parameters(config: Config) -> dict[str, int]:
    """How many numbers V, M and C are."""
    z, m, actions = config.vae.z, config.memory, game_named(config.game).actions
    head = Head(z=z, mixtures=m.mixtures, done=m.done, reward=m.reward)
    return {"V": layers_named(config.vae.layers).parameters(z),
            "M": head.parameters(z + actions + m.restart_input, m.units),
            "C": shape_of(config).weights}
