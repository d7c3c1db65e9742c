"""The paper's table of temperatures (section 4): agents evolved in dreams of each, dream and game.

Each temperature is a run folder of its own, ``temperatures/1.15/``, that borrows V and M from the
run around it, so that it is evolved, judged, played and resumed like any other run. Where the
run's own agent evolved in just such a dream, it is that temperature's.
"""

from __future__ import annotations

from typing import Any

from worldmodels_repro.config import check_config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.progress import Progress
from worldmodels_repro.records import Summary
from worldmodels_repro.report import judgement
from worldmodels_repro.run import Run, versions
from worldmodels_repro.stages import evaluate, evolve
from worldmodels_repro.storage import save_json, write_atomically


def run(stage_run: Run, temperatures: list[float], generations: int | None = None) -> None:
    """Evolve and judge an agent for each temperature; write ``evaluate/temperatures.json``.

    Args:
        stage_run: the run whose V and M, settings and random policy's scores are used.
        temperatures: which.
        generations: how long each agent evolves (None: as ``evolve.generations`` says).

    Raises:
        UserError: the run has no agent, or its M nothing to dream of.
    """
    inner = [_inner_run(stage_run, temperature, generations) for temperature in temperatures]
    evaluate.run(stage_run)
    rows = []
    with Progress("temperatures", len(inner), "agents") as progress:
        for one in inner:
            settings = one.config.evolve
            progress.say(f"temperature {settings.temperature:g}: {settings.generations} "
                         f"generations, in {one.path}")
            if one is not stage_run:
                one.borrow(stage_run, "vae", "memory")
            evolve.run(one)
            evaluate.run(one)
            rows.append(_row(one))
            progress.add()
    judged = judgement.table(stage_run)
    random = judged["results"].get("random")
    folder = stage_run.folder("evaluate")
    save_json(folder / "temperatures.json", {
        "environment": judged["environment"], "unmodified": True, "versions": versions(),
        "temperatures": rows, "random": random})
    text = table(rows, random, game_named(stage_run.config.game).judge_id)
    write_atomically(folder / "temperatures.md", lambda file: file.write(text.encode()))
    print(text, end="")


def table(rows: list[dict[str, Any]], random: Summary | None, game: str) -> str:
    """The table as Markdown: mean ± standard deviation, and the mean's 95 % interval."""
    lines = [f"| temperature | generations | in its dream | 95 % interval | {game} "
             "| 95 % interval |", "|---|---|---|---|---|---|"]
    lines += [f"| {row['temperature']:.2f} | {row['generations']} | {_cells(row['dream'])} "
              f"| {_cells(row['real'])} |" for row in rows]
    if random is not None:
        lines.append(f"| random policy | – | – | – | {_cells(random)} |")
    return "\n".join(lines) + "\n"


def _cells(row: Summary) -> str:
    low, high = row["ci95"]
    return f"{row['mean']:.0f} ± {row['std']:.0f} | {low:.0f} to {high:.0f}"


def _inner_run(stage_run: Run, temperature: float, generations: int | None) -> Run:
    """The run folder of one temperature, made of the outer one's settings; itself, if all agree."""
    values = stage_run.config.plain()
    values["evolve"] |= {"world": "dream", "temperature": temperature}
    if generations is not None:
        values["evolve"]["generations"] = generations
    values["evaluate"]["random_episodes"] = 0  # the outer run's serve all temperatures
    config = check_config(values, f"temperature {temperature:g}")
    if config.evolve == stage_run.config.evolve:
        return stage_run
    return Run(stage_run.path / "temperatures" / f"{temperature:g}", config)


def _row(inner: Run) -> dict[str, Any]:
    judged = judgement.table(inner)
    return {"temperature": inner.config.evolve.temperature,
            "generations": inner.config.evolve.generations,
            "chosen": judged["agent"]["generation"],
            "dream": judged["dream"]["results"]["agent"], "real": judged["results"]["agent"]}
