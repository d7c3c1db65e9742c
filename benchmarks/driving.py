"""CarRacing alone on one core, and V's encoder alone: rows from their own modules."""

from __future__ import annotations

from typing import Any

from benchmarks import encode as encoders
from benchmarks import env as environments
from benchmarks.measure import Scale, in_process
from benchmarks.report import Row


def env(scale: Scale) -> list[Row]:
    """Steps a second of the fast CarRacing beside gymnasium's, and EnvPool's where it is.

    The first rows have it draw 64x64 beside environments that draw 96x96, as they come; in the
    others the output is equal: the others' frames resized to 64x64, or the fast one's 96x96.
    """
    steps = scale.pick(1000, 20)
    rows = []
    for name, size, resized in (("env", 64, False), ("env.64", 64, True), ("env.96", 96, False)):
        shown = "64x64, resized" if resized else "96x96"
        result = in_process(environments.env, steps, scale.rounds, "CarRacing-v3", size, resized)
        rows.append(_row(name, result, f"gymnasium's CarRacing-v3 ({shown}), the same drives"))
        if environments.has_envpool():
            result = in_process(environments.env, steps, scale.rounds, "envpool", size, resized)
            rows.append(_row(f"{name}.envpool", result,
                             f"EnvPool's CarRacing ({shown}), one thread"))
        else:
            rows.append(Row(f"{name}.envpool", skipped="envpool can't be imported"))
    return rows


def encode(scale: Scale) -> list[Row]:
    """Frames a second of V's encoder beside the fastest other runtime that is installed."""
    result = (encoders.encode(1, (encoders.BATCH,)) if scale.quick
              else encoders.encode(scale.rounds))
    speeds = {name: entry["frames_per_s"][encoders.BATCH]
              for name, entry in result["details"].items() if not name.startswith("openvino")}
    others = f"{max(speeds, key=speeds.__getitem__)}, float32" if speeds else ""
    return [_row("encode", result, others, runtimes=result["details"])]


def _row(name: str, result: dict[str, Any], baseline_what: str, **details: Any) -> Row:
    return Row(name, result["value"], result["unit"], result["baseline"], baseline_what,
               result["ratio"], details=details)
