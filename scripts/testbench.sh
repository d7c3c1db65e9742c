#!/usr/bin/env bash
# The testbench's three basics over five seeds, or other configs of it; a run folder each, in
# logs/testbench/NAME/seed-N.  bash scripts/testbench.sh [NAME...]     SEEDS="1 2" for others
source "$(dirname "$0")/setup.sh"
[ $# -gt 0 ] || set -- CP_basic AB_basic LL_basic
seeds=${SEEDS:-1 2 3 4 5}
for name; do
    worldmodels all "testbench/$name" --run "logs/testbench/$name" --seeds "${seeds// /,}"
done
