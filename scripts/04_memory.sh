#!/usr/bin/env bash
# Stage 4: train M on the latents.  bash scripts/04_memory.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" memory --config "${1:-configs/quick.yaml}" "${@:2}"
