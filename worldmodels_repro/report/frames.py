"""What V was shown, what it makes of it, and what M expects to see."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.data.episodes import load_episode
from worldmodels_repro.models.mdn_rnn.mixture import sample_mixture
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.report.held_out import held_out_episode
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import generator
from worldmodels_repro.storage import load_npz, needed
from worldmodels_repro.tables import FrameRows

AHEAD = (1, 5, 15, 30, 60, 90)  # steps after the window's first, as frames


def reconstructions(run: Run) -> FrameRows:
    """Held-out frames, and V's reconstructions of them, decoded from the posterior's mean.

    Raises:
        UserError: V has not been trained for an epoch.
    """
    path = needed(run.folder("vae") / "reconstructions.npz", "vae")
    shown = load_npz(path, ["originals", "reconstructions"])
    return {"rows": {"frame": shown["originals"], "V": shown["reconstructions"]}, "titles": []}


def dream_frames(run: Run) -> FrameRows:
    """The game, V, M one step ahead, and M on its own, at a few steps of a held-out episode.

    M on its own starts from the same state, is given the episode's actions and from then on
    only its own draws at temperature 1: a dream.

    Raises:
        UserError: there is no V or M, no latents, or no rollouts.
    """
    episode = held_out_episode(run)
    needed(run.folder("vae") / "weights.npz", "vae")
    real = load_episode(run.folder("rollouts"), episode.name, ("frames",))["frames"]
    first = episode.first
    ahead = np.array([k for k in AHEAD if first + k < len(episode.z)])
    expected, _ = episode.expected(first, ahead[-1])
    dreamer, rng = episode.memory(first), generator(0)
    dreamt, z = [], episode.z[first]
    for action in episode.actions[first:first + ahead[-1]]:
        z = sample_mixture(*dreamer.step(z, action), temperature=1.0, rng=rng)
        dreamt.append(z)
    decoder = load_vision(run.path, run.config.vae.layers).decoder(len(ahead))
    latents = {"V": episode.mu[first + ahead], "M, fed by V": expected[ahead - 1],
               "M, fed by M": np.array(dreamt)[ahead - 1]}
    rows = {"frame": real[first + ahead]} | {
        name: decoder.decode(z.astype(np.float32)).copy() for name, z in latents.items()}
    return {"rows": rows, "titles": [f"{k} step{'' if k == 1 else 's'}" for k in ahead]}
