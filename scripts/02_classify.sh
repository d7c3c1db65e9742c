#!/usr/bin/env bash
# Stage 2: train what tells a map's windows apart.  bash scripts/02_classify.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
exec "${stage[@]}" classify --config "${1:-configs/detector/classifier.yaml}" "${@:2}"
