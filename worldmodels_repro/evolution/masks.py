"""How much of M each dream does without, so that who sees nothing fares there as in the game.

Such a policy can neither be fooled by M nor learn what is wrong with it. Where its episodes bring
more in dreams than they brought in the game, dreams are too kind, and masks make them harsher
(``evolve.dropout``). The game's side of the scales are episodes of the run's data: nothing more is
played.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.policies.registry import BLIND, policy_named
from worldmodels_repro.progress import say
from worldmodels_repro.records import ManifestLine, Masks
from worldmodels_repro.run import Run
from worldmodels_repro.seeds import episode_seed
from worldmodels_repro.storage import load_json_lines, save_json
from worldmodels_repro.worlds.dream import DreamWorld, load_dream, masks_file
from worldmodels_repro.worlds.episodes import play

DREAMS = 256
MOST = 0.25  # of M: what is left of it without more than that is hardly the game
HALVINGS = 6


def fit_masks(run: Run) -> None:
    """Find ``evolve.dropout`` where it is null, once; :func:`worlds.dream.load_dream` reads it.

    Raises:
        UserError: the run's data have no episode of a policy that sees nothing.
    """
    file, settings = masks_file(run.path), run.config.rollouts
    if run.config.evolve.dropout is not None or file.exists():
        return
    policy, scores = _blind(run)
    acting = policy_named(policy)(game_named(run.config.game), settings, None)
    whole = load_dream(run.path, run.config, dropout=0.0)
    seeds = [episode_seed(run.config.seed, "dream", k, 1) for k in range(DREAMS)]

    def dreamt(share: float) -> float:
        world = DreamWorld(replace(whole, dropout=share), DREAMS)
        played = play(world, acting, seeds, settings.max_steps, settings.patience)
        kept = played.returns[played.steps >= settings.min_steps]  # as in the data
        return float(kept.mean()) if len(kept) else -np.inf

    wanted, share, least, most = float(np.mean(scores)), 0.0, 0.0, MOST
    if (mean := dreamt(share)) > wanted:
        for _ in range(HALVINGS):
            share = (least + most) / 2
            mean = dreamt(share)
            least, most = (share, most) if mean > wanted else (least, share)
    found: Masks = {"policy": policy, "episodes": len(scores), "game": round(wanted, 3),
                    "dreams": DREAMS, "dream": round(mean, 3), "dropout": share}
    save_json(file, found)
    say(f"evolve: dreams without {share:.1%} of M, where {policy} actions bring {mean:.1f} "
        f"(in the game {wanted:.1f}; in dreams of all of M more)" if share else
        f"evolve: dreams of all of M, where {policy} actions bring {mean:.1f} (in the game "
        f"{wanted:.1f})")


def _blind(run: Run) -> tuple[str, list[float]]:
    """The policy that sees nothing of which the data have most, and its episodes' returns."""
    file = run.folder("rollouts") / "manifest.jsonl"
    lines = [line for line in load_json_lines(file, ManifestLine)
             if line["kept"] and line["policy"] in BLIND]
    if not lines:
        raise UserError("evolve.dropout=null holds dreams against episodes of "
                        f"{' or '.join(BLIND)} actions, and {file} has none: set it to a share, "
                        "e.g. --set evolve.dropout=0.1")
    policy = Counter(line["policy"] for line in lines).most_common(1)[0][0]
    return policy, [line["return"] for line in lines if line["policy"] == policy]
