"""What V was shown, what it makes of it, and what M expects to see."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.models.mdn_rnn.mixture import sample_mixture
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.policies.agent import Controllers
from worldmodels_repro.report.held_out import held_out_episode
from worldmodels_repro.report.sample import load_sample
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import generator
from worldmodels_repro.storage import load_npz, needed
from worldmodels_repro.tables import FrameRows
from worldmodels_repro.worlds.agent import load_agent
from worldmodels_repro.worlds.dream import DreamWorld, load_dream

STRIP = 10  # frames of a film strip
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
    real = episode.frames()
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


def film_strip(run: Run) -> FrameRows:
    """The agent in the game, and from the same moment on in M's dream; past a dream's end, nothing.

    Raises:
        UserError: the run has no sample, or can't dream.
    """
    kept, config = load_sample(run), run.config
    agent, dream = load_agent(run.path), load_dream(run.path, config)
    vision = load_vision(run.path, config.vae.layers)
    shown = np.linspace(0, len(kept["z"]) - 1, min(STRIP, len(kept["z"]))).astype(int)
    world, policy = DreamWorld(dream, 1), Controllers(agent.body, agent.weights[None], 1)
    decoder, dreamt, seed, ended = vision.decoder(1), [], int(kept["seed"]), False
    policy.reset(0, seed, 0)
    world.resume(0, seed, kept["z"][0], {"h": kept["h"], "c": kept["c"]})
    for _ in range(shown[-1] + 1):
        dreamt.append(np.full_like(kept["frames"][0], 255) if ended
                      else decoder.decode(world.latents())[0].copy())
        ended |= bool(world.advance(policy.act(world.features()))[1][0])
    fps = game_named(config.game).fps
    return {"rows": {"game": kept["frames"][shown], "M's dream": np.stack(dreamt)[shown]},
            "titles": [f"{step / fps:.1f} s" for step in shown]}
