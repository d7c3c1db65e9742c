#!/usr/bin/env bash
# Stage 2: train networks on random play before C learns.  bash scripts/02_pretrain.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" pretrain --config "${1:-configs/pretraining/pendulum.yaml}" "${@:2}"
