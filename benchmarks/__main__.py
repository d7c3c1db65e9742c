"""``python -m benchmarks``: a JSON line a row on stdout as it is measured, then a table."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.collect import collect
from benchmarks.doom import doom
from benchmarks.dreams import dreams
from benchmarks.driving import encode, env
from benchmarks.footprint import vae_stream, worker_memory
from benchmarks.generation import generation
from benchmarks.learning import learn_steps, learn_threads, learn_update, pretrain_steps
from benchmarks.loop import loop
from benchmarks.measure import Scale
from benchmarks.page import page
from benchmarks.recurrence import memory_step
from benchmarks.serial import serial
from benchmarks.training import memory_train, vae_train

BENCHMARKS: dict[str, Callable[[Scale], list[report.Row]]] = {
    benchmark.__name__: benchmark
    for benchmark in (env, encode, memory_step, loop, dreams, doom, generation, serial,
                      collect, vae_train, memory_train, learn_update,
                      learn_threads, learn_steps, pretrain_steps, worker_memory, vae_stream, page)
}
ROUNDS = 5


def main() -> int:
    """Run the benchmarks named; exit code 1 if one failed."""
    options = _parser().parse_args()
    # The figures are of the work; the libraries' notes would only hide the lines.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    scale = Scale(rounds, options.quick)
    lines: list[dict[str, Any]] = [{"machine": report.machine() | {
        "rounds": rounds, "quick": options.quick}}]
    rows: list[report.Row] = []
    failed = False
    for name in options.names or list(BENCHMARKS):
        start = time.monotonic()
        try:
            measured = BENCHMARKS[name](scale)
        except Exception:  # the others are still worth having
            traceback.print_exc()
            measured, failed = [report.Row(name, skipped="failed")], True
        for row in measured:
            lines.append(row.plain() | {"seconds": round(time.monotonic() - start, 1)})
            print(json.dumps(lines[-1]), flush=True)
        rows += measured
        if options.out:
            options.out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(f"\n{report.table(rows)}", file=sys.stderr)
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, []],
                        help=f"which ones (default: all): {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, metavar="N",
                        help=f"turns each side takes (default {ROUNDS})")
    parser.add_argument("--quick", action="store_true",
                        help="seconds in place of minutes, to try the code: no real figures")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="also write the lines here, the machine's facts first")
    return parser


if __name__ == "__main__":
    sys.exit(main())
