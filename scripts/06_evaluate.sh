#!/usr/bin/env bash
# Stage 6: judge the agent.  bash scripts/06_evaluate.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" evaluate --config "${1:-configs/quick.yaml}" "${@:2}"
