#!/usr/bin/env bash
# Stage 3: encode the episodes with V.  bash scripts/03_latents.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" latents --config "${1:-configs/quick.yaml}" "${@:2}"
