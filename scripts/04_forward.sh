#!/usr/bin/env bash
# Stage 4: train a network that predicts frames.  bash scripts/04_forward.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" forward --config "${1:-configs/forward/pong_rnn_deconv.yaml}" "${@:2}"
