"""An agent in worlds that it does not know, each beside the game as it is.

Each world's judgement is a run folder of its own, ``worlds/bars/``, that borrows V, M and C: it
goes on when it was interrupted, and what stands in ``evaluate/`` stays as it is.
"""

from __future__ import annotations

from worldmodels_repro.config import check_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.report import judgement
from worldmodels_repro.run import Run, versions
from worldmodels_repro.stages import evaluate
from worldmodels_repro.storage import save_json, write_atomically


def run(stage_run: Run) -> None:
    """Judge the agent in all of its game's changed worlds; write ``evaluate/worlds.json``.

    Raises:
        UserError: the run has no evaluation yet.
    """
    judged = judgement.table(stage_run)
    rows = {"": judged["results"]["agent"]}
    for name in game_named(stage_run.config.game).changes:
        values = stage_run.config.plain()
        values["evaluate"] |= {"changed": name, "random_episodes": 0}
        inner = Run(stage_run.path / "worlds" / name, check_config(values, f"world {name}"))
        inner.borrow(stage_run, "vae", "memory", "evolve")
        evaluate.run(inner)
        rows[name] = judgement.table(inner)["results"]["agent"]
    folder = stage_run.folder("evaluate")
    save_json(folder / "worlds.json", {"environment": judged["environment"],
                                       "versions": versions(), "worlds": rows})
    lines = [f"| {judged['environment']} with | mean ± std | 95 % interval | episodes |",
             "|---|---|---|---|"]
    lines += [f"| {name or 'nothing changed'} | {row['mean']:.0f} ± {row['std']:.0f} "
              f"| [{row['ci95'][0]:.0f}, {row['ci95'][1]:.0f}] | {row['episodes']} |"
              for name, row in rows.items()]
    text = "\n".join(lines) + "\n"
    write_atomically(folder / "worlds.md", lambda file: file.write(text.encode()))
    print(text, end="")
