"""What a run took: hours, and dollars beside them."""

from __future__ import annotations

from matplotlib.figure import Figure

from worldmodels_repro.figures.style import BLUE, SMALL, new_figure
from worldmodels_repro.tables import Costs


def draw_costs(table: Costs) -> Figure:
    """A bar a stage, in hours, with what it would cost on rented machines, and the sum of all."""
    stages, dollars = table["stages"], table["dollars"]
    rows = [(row["stage"], row["seconds"] / 3600, dollars.get(row["stage"])) for row in stages]
    hours, price = sum(hours for _, hours, _ in rows), sum(dollars.values())
    figure = new_figure("column", 0.75 + 0.2 * len(rows))
    ax = figure.subplots()
    ax.barh(range(len(rows)), [hours for _, hours, _ in rows], color=BLUE, height=0.7)
    for place, (_, spent, cost) in enumerate(rows):
        told = f"{spent:.2f} h" + ("" if cost is None else f", ${cost:.2f}")
        ax.annotate(told, (spent, place), (3, 0), textcoords="offset points", fontsize=SMALL,
                    va="center")
    ax.set(yticks=range(len(rows)), yticklabels=[stage for stage, _, _ in rows],
           ylim=(len(rows) - 0.4, -0.6), xlim=(0, 1.45 * max(spent for _, spent, _ in rows)),
           xlabel=f"hours; {hours:.2f} and ${price:.2f} in all")
    ax.grid(visible=False)
    ax.tick_params(axis="y", length=0)
    return figure
