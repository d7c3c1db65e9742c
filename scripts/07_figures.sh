#!/usr/bin/env bash
# Stage 7: draw the figures.  bash scripts/07_figures.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" figures --config "${1:-configs/quick.yaml}" "${@:2}"
