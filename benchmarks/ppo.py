"""What the fast CarRacing is worth to others: PPO on it and on gymnasium's, for the same wall time.

::

    python -m benchmarks.ppo                                  # three seeds, half an hour for each
    python -m benchmarks.ppo --seeds 1 --minutes 5 --games 2

``examples/car_racing_ppo.py`` is what learns; both agents of a seed are judged on gymnasium's own
game, on the same tracks. A JSON line an agent goes to standard output, then a table with intervals
over seeds. Needs the extra ``sb3``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from benchmarks.yardstick import told

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> int:
    """Learn, judge and print a row for each of the two."""
    sys.path.insert(0, str(EXAMPLES))  # the processes in which games are played look there too
    example = importlib.import_module("car_racing_ppo")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ppo", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    example.words(parser)
    parser.add_argument("--seeds", type=int, default=3, metavar="N",
                        help="from --seed on (default: 3)")
    options = parser.parse_args()
    seeds, rows = range(options.seed, options.seed + options.seeds), []
    for env_id in (example.FAST, example.ORIGINAL):
        name, counts, means = env_id.rpartition("/")[2], [], []
        for seed in seeds:
            options.seed = seed
            steps, scores = example.learnt(env_id, options)
            counts.append(steps)
            means.append(float(scores.mean()))
            print(json.dumps({"learnt on": name, "seed": seed, "minutes": options.minutes,
                              "steps": steps, "score": round(means[-1], 3),
                              "episodes": len(scores)}), flush=True)
        rows.append(f"| {name} | {sum(counts) / len(counts):,.0f} | {told(means)} |")
    print(f"\n| PPO for {options.minutes:g} minutes on | steps | score on {example.ORIGINAL} |\n"
          "|---|---|---|", *rows, sep="\n", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
