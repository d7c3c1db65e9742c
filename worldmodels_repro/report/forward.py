"""What a network predicts of held-out episodes, as frames."""

from __future__ import annotations

import numpy as np

from worldmodels_repro.data.episodes import load_episode
from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import Context, Predicted
from worldmodels_repro.models.forward.predictor import Predictor, load_frame_network
from worldmodels_repro.run import Run, load_marker
from worldmodels_repro.storage import load_npz, needed
from worldmodels_repro.tables import FrameRows
from worldmodels_repro.worlds.forward import moved_parts, shown

AHEAD = (1, 5, 10, 20, 30, 45, 60)  # steps after the context's last frame


def forward_frames(run: Run) -> FrameRows:
    """The longest episode that training held out, and the network from that one's beginning on.

    Raises:
        UserError: there is no network, or none of the episodes that it was not trained on.
    """
    ahead, frames, steps, _ = _along(run)
    return {"rows": {"frame": frames, "network": np.concatenate([shown(step) for step in steps])},
            "titles": _titles(ahead)}


def assets(run: Run) -> FrameRows:
    """The same, and the parts that the network puts its frames together of.

    Raises:
        UserError: as :func:`forward_frames`, or there are no parts.
    """
    ahead, frames, steps, predictor = _along(run)
    parts = np.stack([moved_parts(shifts[0], pictures[0]) for shifts, pictures in
                      (predictor.parts(step.state) for step in steps)])  # (n, k, 64, 64, 3)
    return {"rows": {"frame": frames, "network": np.concatenate([shown(step) for step in steps]),
                     **{f"asset {k + 1}": parts[:, k] for k in range(parts.shape[1])}},
            "titles": _titles(ahead)}


def _titles(ahead: list[int]) -> list[str]:
    return [f"{k} step{'' if k == 1 else 's'}" for k in ahead]


def _along(run: Run) -> tuple[list[int], np.ndarray, list[Predicted], Predictor]:
    """Steps from the end of a held-out episode's beginning, (n,); its frames there,
    (n, 64, 64, 3) uint8; what the network predicts there; and the network at work."""
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
    predictor, steps = network.predictor(1), list[Predicted]()
    state = predictor.start(context)
    for action in episode["actions"][first:first + ahead[-1]]:
        steps.append(predictor.step(state, action[None]))
        state = steps[-1].state
    return (ahead, episode["frames"][first + np.array(ahead)], [steps[k - 1] for k in ahead],
            predictor)
