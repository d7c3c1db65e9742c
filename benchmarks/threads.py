"""Cores and TensorFlow's threads for a learner: steps a second, and how they drift.

::

    python -m benchmarks.threads                            # an hour for each of 1/1, 2/2, 2/4
    python -m benchmarks.threads --minutes 1 --every 10     # a look
    python -m benchmarks.threads 4/4 8/8 --config testbench/LL_256_128

Each pair of cores/threads has a process of its own, held to that many cores, which plays and learns
as the stage does, with as many threads of TensorFlow's, within an operation and between them. A
JSON line a stretch goes to standard output, then a table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import in_process

Stretches = list[dict[str, float]]


def main() -> int:
    """Measure the pairs that are asked for."""
    options = _parser().parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    have = len(os.sched_getaffinity(0))
    rows = []
    for pair in options.pairs:
        cores, _, threads = pair.partition("/")
        if not (cores.isdigit() and threads.isdigit() and int(cores) and int(threads)):
            print(f"{pair}: write it as cores/threads, e.g. 2/4", file=sys.stderr)
            return 2
        if int(cores) > have:
            print(f"{pair}: skipped, this machine has {have} cores", file=sys.stderr)
            continue
        stretches = in_process(measure, options.config, int(cores), int(threads),
                               60.0 * options.minutes, options.every, one_core=False)
        for stretch in stretches:
            print(json.dumps({"pair": pair, **stretch}), flush=True)
        rows.append((pair, stretches))
    print("\n| cores/threads | steps/s | first stretch | last stretch | drift an hour |\n"
          "|---|---|---|---|---|", file=sys.stderr)
    for pair, stretches in rows:
        rates = [stretch["steps_per_second"] for stretch in stretches]
        print(f"| {pair} | {np.median(rates):.0f} | {rates[0]:.0f} | {rates[-1]:.0f} "
              f"| {100 * drift(stretches):+.0f} % |", file=sys.stderr)
    return 0


def measure(config: str, cores: int, threads: int, seconds: float, every: float) -> Stretches:
    """Learn for so long: steps a second in each stretch of ``every`` seconds."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    from worldmodels_repro.config import load_config
    from worldmodels_repro.run import Run
    from worldmodels_repro.training.quiet import import_keras_quietly
    from worldmodels_repro.worlds.agent import load_body

    import_keras_quietly()
    from worldmodels_repro.stages.learn import Course

    settings = load_config(config, [f"learn.threads={threads}", "trackers=[]"])
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), settings)
        run.begin("learn")
        course = Course(run, load_body(run.path, settings))
        while course.updates < 100:  # programs are compiled
            course.play_episode()
        return _stretches(course, seconds, every)


def drift(stretches: Stretches) -> float:
    """The share by which the rate changes in an hour, by a straight line through all stretches."""
    if len(stretches) < 2:
        return 0.0
    hours = [stretch["second"] / 3600 for stretch in stretches]
    rates = [stretch["steps_per_second"] for stretch in stretches]
    return float(np.polyfit(hours, rates, 1)[0] / np.mean(rates))


def _stretches(course: Any, seconds: float, every: float) -> Stretches:
    found: Stretches = []
    start = begun = time.monotonic()
    before = course.step
    while begun - start < seconds:
        course.play_episode()
        now = time.monotonic()
        if now - begun >= every:
            found.append({"second": round(now - start, 1),
                          "steps_per_second": round((course.step - before) / (now - begun), 1)})
            begun, before = now, course.step
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", metavar="CORES/THREADS", default=["1/1", "2/2", "2/4"],
                        help="which (default: 1/1 2/2 2/4)")
    parser.add_argument("--config", default="testbench/LL_256_128", metavar="NAME",
                        help="of the learner (default: testbench/LL_256_128)")
    parser.add_argument("--minutes", type=float, default=60.0, metavar="N",
                        help="for each pair (default: 60)")
    parser.add_argument("--every", type=float, default=60.0, metavar="SECONDS",
                        help="of a stretch (default: 60)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
