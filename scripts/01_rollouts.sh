#!/usr/bin/env bash
# Stage 1: collect episodes of the game.  bash scripts/01_rollouts.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" rollouts --config "${1:-configs/quick.yaml}" "${@:2}"
