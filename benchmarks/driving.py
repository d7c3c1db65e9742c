"""CarRacing alone on one core, and V's encoder alone: rows from their own modules."""

from __future__ import annotations

from typing import Any

from benchmarks import encode as encoders
from benchmarks import env as environments
from benchmarks.measure import Scale, in_process
from benchmarks.report import Row


def env(scale: Scale) -> list[Row]:
    """Steps a second of the fast CarRacing beside gymnasium's, and EnvPool's where it is."""
    steps = scale.pick(1000, 20)
    rows = []
    for name, size in (("env", 64), ("env.96", 96)):
        result = in_process(environments.env, steps, scale.rounds, "CarRacing-v3", size)
        rows.append(_row(name, result, "gymnasium's CarRacing-v3 (96x96), the same drives"))
        if environments.has_envpool():
            result = in_process(environments.env, steps, scale.rounds, "envpool", size)
            rows.append(_row(f"{name}.envpool", result, "EnvPool's CarRacing (96x96), one thread"))
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
