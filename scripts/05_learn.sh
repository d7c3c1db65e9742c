#!/usr/bin/env bash
# Stage 5: learn C by gradient.  bash scripts/05_learn.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" learn --config "${1:-configs/testbench/CP_basic.yaml}" "${@:2}"
