#!/usr/bin/env bash
# Stage 2: train V on their frames.  bash scripts/02_vae.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" vae --config "${1:-configs/quick.yaml}" "${@:2}"
