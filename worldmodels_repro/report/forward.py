"""What a network predicts of held-out episodes, as frames."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.data.episodes import load_episode
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import Context
from worldmodels_repro.models.forward.predictor import load_frame_network
from worldmodels_repro.run import Run, load_marker
from worldmodels_repro.storage import load_npz, needed
from worldmodels_repro.tables import FrameRows
from worldmodels_repro.worlds.forward import shown

AHEAD = (1, 5, 10, 20, 30, 45, 60)  # steps after the context's last frame


def forward_frames(run: Run) -> FrameRows:
    """The longest episode that training held out, and the network from that one's beginning on.

    Raises:
        UserError: there is no network, or none of the episodes that it was not trained on.
    """
    folder = run.folder("forward")
    needed(folder / "programs.npz", "forward")
    network = load_frame_network(run.path, run.config.forward, run.config.game)
    names = load_marker(folder).get("facts", {}).get("held_out_episodes", [])
    if not names:
        raise UserError(f"{folder} does not say which episodes were held out: let the stage "
                        "'forward' finish")
    own, kept = folder / "held_out", load_npz(folder / "contexts.npz")
    rollouts = own if own.exists() else run.folder("rollouts")
    names = names[:len(kept["frames"])]
    number, episode = max(((number, load_episode(rollouts, name))
                           for number, name in enumerate(names)),
                          key=lambda pair: len(pair[1]["frames"]))
    context = Context(*(kept[name][number:number + 1] for name in ("frames", "actions", "serve")))
    first = context.frames.shape[1] - 1
    ahead = [k for k in AHEAD if first + k < len(episode["frames"])]
    predictor, drawn = network.predictor(1), []
    state = predictor.start(context)
    for action in episode["actions"][first:first + ahead[-1]]:
        after = predictor.step(state, action[None])
        state = after.state
        drawn.append(shown(after)[0])
    steps = np.array(ahead)
    return {"rows": {"frame": episode["frames"][first + steps],
                     "network": np.stack(drawn)[steps - 1]},
            "titles": [f"{k} step{'' if k == 1 else 's'}" for k in ahead]}
