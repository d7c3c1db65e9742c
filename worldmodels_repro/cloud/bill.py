"""A run's own bill: what it cost by the hours of the machines rented for it, or of its stages."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import TypedDict

from worldmodels_repro.cloud import RECORD
from worldmodels_repro.cloud.estimate import DEFAULTS, KINDS
from worldmodels_repro.cloud.prices import DISK_GIB, Prices
from worldmodels_repro.errors import UserError
from worldmodels_repro.pipeline import STAGES
from worldmodels_repro.records import Rented
from worldmodels_repro.run import load_marker
from worldmodels_repro.storage import load_json_lines


class Charge(TypedDict):
    """What one machine of a run cost, or a stage on one."""

    stage: str
    machine: str
    hours: float
    dollars: float


def bill_of(run: Path, prices: Prices) -> list[Charge]:
    """What a run cost by its own hours: those of the machines rented for it, or its stages'.

    Raises:
        UserError: it is no run folder.
    """
    rented = load_json_lines(run / RECORD, Rented)
    rows = [(each["stage"], each["instance_type"], each["spot"], each["hours"])
            for each in rented]
    if not rented:
        rows = [(stage, DEFAULTS[KINDS[stage]], False, seconds / 3600)
                for stage, seconds in _stage_seconds(run).items()]
    if not rows:
        raise UserError(f"{run} holds no hours: name a run folder, e.g. --run logs/quick")
    return [{"stage": stage, "machine": kind + (" spot" if spot else ""), "hours": hours,
             "dollars": hours * prices.hour(kind, spot, DISK_GIB)}
            for stage, kind, spot, hours in rows]


def price_of(run: Path, prices: Prices) -> list[str]:
    """The bill as a plain table, and what it rests on.

    Raises:
        UserError: it is no run folder.
    """
    rows = bill_of(run, prices)
    lines = [f"{'stage':12s}{'machine':22s}{'hours':>8s}{'dollars':>10s}"]
    lines += [f"{row['stage']:12s}{row['machine']:22s}{row['hours']:8.2f}{row['dollars']:10.2f}"
              for row in rows]
    hours, dollars = (sum(row[key] for row in rows) for key in ("hours", "dollars"))
    return [*lines, f"{'all':34s}{hours:8.2f}{dollars:10.2f}",
            basis(run, prices)]


def basis(run: Path, prices: Prices) -> str:
    """What a bill rests on, in a line."""
    hours = ("by the hours of the machines rented" if load_json_lines(run / RECORD, Rented)
             else "if its stages had taken as long on these machines")
    return f"estimated {hours}; {prices.caution()}"


def core_hour(prices: Prices) -> tuple[float, str]:
    """Dollars of a core's hour on the machine that is rented for evolution, and their basis."""
    machine = DEFAULTS["cores"]
    dollars = prices.hour(machine, spot=False) / prices.machine(machine).cores
    return dollars, f"{machine}, {prices.as_of}"


def _stage_seconds(run: Path) -> dict[str, float]:
    seconds = {}
    for stage in KINDS:
        folder = STAGES[stage].folder(run)
        if (folder / "stage.json").exists():
            seconds[stage] = load_marker(folder)["seconds"]
    return seconds
