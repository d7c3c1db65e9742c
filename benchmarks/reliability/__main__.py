"""``python -m benchmarks.reliability NAME [--times N]``: one JSON line."""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks.reliability import __doc__ as described
from benchmarks.reliability.cost import cost
from benchmarks.reliability.fuzz import fuzz
from benchmarks.reliability.kills import kills
from benchmarks.reliability.s3 import s3

CHECKS = {"kills": (kills, 100), "s3": (s3, 200), "fuzz": (fuzz, 10_000), "cost": (cost, 30)}


def main() -> int:
    """Run one check."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability",
                                     description=described,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CHECKS)
    parser.add_argument("--times", type=int, metavar="N")
    options = parser.parse_args()
    check, times = CHECKS[options.name]
    print(json.dumps(check(options.times or times)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
