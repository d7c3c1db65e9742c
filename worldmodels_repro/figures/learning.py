"""How a learner fares while it learns."""

from __future__ import annotations

from matplotlib.figure import Figure

from worldmodels_repro.figures.scores import solved_line
from worldmodels_repro.figures.style import BLUE, VERMILION, new_figure
from worldmodels_repro.sections import WORLDS
from worldmodels_repro.tables import Learning


def draw_learning(table: Learning) -> Figure:
    """Each episode's return, the mean of the last hundred, and the policy without exploration.

    Error bars are 95 % intervals over the evaluation's episodes.
    """
    figure = new_figure("column", 2.5)
    ax = figure.subplots()
    thousands = [step / 1000 for step in table["step"]]
    ax.scatter(thousands, table["score"], s=2, color=BLUE, alpha=0.2, linewidth=0,
               label="an episode", rasterized=True)
    ax.plot(thousands, table["lately"], color=BLUE, linewidth=1.2, label="mean of the last 100")
    rows = table["validations"]
    few = len(rows) <= 20
    ax.errorbar([row["step"] / 1000 for row in rows], [row["mean"] for row in rows],
                [row["interval"] for row in rows], color=VERMILION, fmt="o",
                markersize=3 if few else 1.5, elinewidth=0.8 if few else 0.5,
                capsize=1.5 if few else 0.0, label="without exploration, other seeds",
                clip_on=False, zorder=3)
    solved_line(ax, table["solved"])
    ax.set(xlabel=f"steps of {WORLDS[table['world']]} (thousand)", ylabel="return of an episode",
           xlim=(0, thousands[-1]))
    figure.legend(loc="outside lower center", ncols=2, columnspacing=1.2)
    return figure
