#!/usr/bin/env bash
# All stages, one after another; run again, it goes on where it stopped.
#   bash scripts/run_all.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec worldmodels all "${1:-configs/quick.yaml}" "${@:2}"
