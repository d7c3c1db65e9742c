#!/usr/bin/env bash
# Stage 5: evolve C.  bash scripts/05_evolve.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" evolve --config "${1:-configs/quick.yaml}" "${@:2}"
