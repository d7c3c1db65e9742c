"""How far off models' frames are, by how many steps ahead: the bench of world models, in words."""

from __future__ import annotations

from worldmodels_repro.records import Bench


def text(table: Bench) -> str:
    """A line for each model: mean squared error, and below it how far off the thing is."""
    horizons = sorted({row["horizon"] for row in table["rows"]})
    models = list(dict.fromkeys(row["model"] for row in table["rows"]))
    wide = max(map(len, models)) + 2
    counts = {row["horizon"]: row["episodes"] for row in table["rows"]}
    lines = [f"{table['game']}: a line a model, a column a horizon in steps",
             f"{'episodes':{wide}s}" + "".join(f"{counts[h]:>10d}" for h in horizons)]
    for title, key in (("squared error x 1000", "mse"), ("pixels (of 32) off", "place")):
        if all(row[key] is None for row in table["rows"]):  # type: ignore[literal-required]
            continue
        lines.append(f"{title:{wide}s}" + "".join(f"{h:>10d}" for h in horizons))
        scale = 1000.0 if key == "mse" else 1.0
        for model in models:
            found = {row["horizon"]: row[key] for row in table["rows"]  # type: ignore[literal-required]
                     if row["model"] == model}
            lines.append(f"{model:{wide}s}" + "".join(f"{scale * found[h]:>10.2f}"
                                                      for h in horizons))
    return "\n".join(lines)
