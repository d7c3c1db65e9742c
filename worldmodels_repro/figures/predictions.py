"""What M expects against what comes, on an episode that M never trained on."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from worldmodels_repro.data.episodes import load_episode
from worldmodels_repro.figures.frames import frame_rows
from worldmodels_repro.figures.held_out import held_out_episode
from worldmodels_repro.figures.style import BLUE, PAGE, new_figure
from worldmodels_repro.models.mdn_rnn.mixture import sample_mixture
from worldmodels_repro.models.vae.vision import load_vision
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import generator
from worldmodels_repro.storage import needed

DIMENSIONS = 4
AHEAD = (1, 5, 15, 30, 60, 90)  # steps after the window's first, as frames


def predictions(run: Run) -> Figure:
    """M's next latent, mean and one standard deviation of the mixture, against V's.

    Teacher forced: M is fed draws from V's posteriors, the dots; the black line is the posterior
    mean. Shown are the dimensions whose posterior means vary most within the window.

    Raises:
        UserError: there is no M, or no latents.
    """
    episode = held_out_episode(run)
    first, steps = episode.first, episode.steps
    mean, deviation = episode.expected(first, steps)
    t = np.arange(first + 1, first + steps + 1)
    picked = np.argsort(-episode.mu[t].var(axis=0))[:DIMENSIONS]
    figure = new_figure(PAGE, 0.75 * len(picked) + 0.75)
    axes = figure.subplots(len(picked), 1, sharex=True, squeeze=False)[:, 0]
    for ax, k in zip(axes, picked, strict=True):
        ax.fill_between(t, mean[:, k] - deviation[:, k], mean[:, k] + deviation[:, k],
                        color=BLUE, alpha=0.25, linewidth=0, label="M: ± 1 standard deviation")
        ax.plot(t, mean[:, k], color=BLUE, label="M: mean")
        ax.plot(t, episode.mu[t, k], color="black", linewidth=0.7, label="V: mean")
        ax.plot(t, episode.z[t, k], "o", color="black", markersize=1.4, label="V: draw")
        ax.set_ylabel(f"$z_{{{k + 1}}}$")
    axes[-1].set(xlabel="step of the episode", xlim=(t[0], t[-1]))
    figure.align_ylabels(axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def dream_frames(run: Run) -> Figure:
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
    latents = {"V": episode.mu[first + ahead], "M, fed\nby V": expected[ahead - 1],
               "M, fed\nby M": np.array(dreamt)[ahead - 1]}
    rows = {"frame": real[first + ahead]} | {
        name: decoder.decode(z.astype(np.float32)).copy() for name, z in latents.items()}
    return frame_rows(rows, [f"{k} step{'' if k == 1 else 's'}" for k in ahead])
