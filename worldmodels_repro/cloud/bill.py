"""A run's own bill: what it cost by the hours of the machines rented for it, or of its stages."""

from __future__ import annotations

from pathlib import Path

from worldmodels_repro.cloud import RECORD
from worldmodels_repro.cloud.estimate import DEFAULTS, KINDS
from worldmodels_repro.cloud.prices import DISK_GIB, Prices
from worldmodels_repro.errors import UserError
from worldmodels_repro.records import Rented
from worldmodels_repro.run import Run, load_marker
from worldmodels_repro.storage import load_json_lines


def price_of(run: Path, prices: Prices) -> list[str]:
    """What a run cost by its own hours: those of the machines rented for it, or its stages'.

    Raises:
        UserError: it is no run folder.
    """
    rented = load_json_lines(run / RECORD, Rented)
    if rented:
        rows = [(each["stage"], each["instance_type"], each["spot"], each["hours"])
                for each in rented]
        basis = "by the hours of the machines rented"
    else:
        rows = [(stage, DEFAULTS[KINDS[stage]], False, seconds / 3600)
                for stage, seconds in _stage_seconds(run).items()]
        basis = "if its stages had taken as long on these machines"
    if not rows:
        raise UserError(f"{run} holds no hours: name a run folder, e.g. --run logs/quick")
    lines = [f"{'stage':12s}{'machine':22s}{'hours':>8s}{'dollars':>10s}"]
    hours = dollars = 0.0
    for stage, kind, spot, took in rows:
        cost = took * prices.hour(kind, spot, DISK_GIB)
        hours, dollars = hours + took, dollars + cost
        lines.append(f"{stage:12s}{kind + (' spot' if spot else ''):22s}{took:8.2f}{cost:10.2f}")
    return [*lines, f"{'all':34s}{hours:8.2f}{dollars:10.2f}",
            f"estimated {basis}; {prices.caution()}"]


def _stage_seconds(run: Path) -> dict[str, float]:
    seconds = {}
    for stage in KINDS:
        folder = run / Run.folder_name(stage)
        if (folder / "stage.json").exists():
            seconds[stage] = load_marker(folder)["seconds"]
    return seconds
