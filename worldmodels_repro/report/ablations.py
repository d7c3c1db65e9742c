"""Runs that share a V: what C sees, and what that is worth."""

from __future__ import annotations

from worldmodels_repro.errors import UserError
from worldmodels_repro.report import judgement
from worldmodels_repro.run import Run, load_run
from worldmodels_repro.storage import load_npz
from worldmodels_repro.tables import Ablation, Ablations
from worldmodels_repro.worlds.agent import sees


def ablations(run: Run) -> Ablations:
    """This run, then those beside it whose V is a link to its own, each as the judge scored it.

    Raises:
        UserError: there is none beside it, or this one has not been judged.
    """
    own = judgement.table(run)
    rows = [_row(run)]
    for path in sorted(run.path.resolve().parent.iterdir()):
        if not (path / "vae").is_symlink() or not (path / "config.yaml").exists():
            continue
        other = load_run(path)
        if (other.folder("vae").resolve() == run.folder("vae").resolve()
                and path != run.path.resolve() and other.is_done("evaluate")
                and judgement.table(other)["environment"] == own["environment"]):
            rows.append(_row(other))
    if len(rows) == 1:
        raise UserError(f"no run beside {run.path} shares its V and has been judged: ablations "
                        "come of bash scripts/ablations.sh")
    return {"environment": own["environment"], "solved": own["solved"], "rows": rows}


def seen(run: Run) -> str:
    """What a run's C acts on."""
    config = run.config
    parts = ", ".join(sees(config))
    hidden = f", {config.controller.hidden} hidden units" if config.controller.hidden else ""
    return parts + hidden + (", M untrained" if config.evolve.untrained_memory else "")


def _row(run: Run) -> Ablation:
    judged = judgement.table(run)
    agent = run.folder(run.config.controller.stage) / "agent.npz"
    return {"name": run.path.name, "sees": seen(run),
            "weights": int(load_npz(agent, ["weights"])["weights"].size),
            "result": judgement.scored(judged["results"]["agent"]),
            "scores": [episode["score"] for episode in judged["episodes"]["agent"]]}
