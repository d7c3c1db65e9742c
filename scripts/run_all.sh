#!/usr/bin/env bash
# All stages, one after another; run again, it goes on where it stopped.
#   bash scripts/run_all.sh [CONFIG] [OPTIONS]
source "$(dirname "$0")/setup.sh"
config=${1:-configs/quick.yaml}
for verb in rollouts vae latents memory evolve evaluate figures results; do
    worldmodels "$verb" --config "$config" "${@:2}"
done
