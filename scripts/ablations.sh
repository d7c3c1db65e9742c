#!/usr/bin/env bash
# The paper's table (section 3.4): the run's V and M, other controllers, as many steps of the game.
#   bash scripts/ablations.sh [RUN]        # after run_all.sh configs/carracing.yaml; logs/carracing
source "$(dirname "$0")/setup.sh"
run=${1:-logs/carracing}
steps=$(python -c "import json; print(json.load(open('$run/evolve/stage.json'))['facts']['steps'])" 2>/dev/null) || {
    echo "$run has not evolved yet: type bash scripts/run_all.sh configs/carracing.yaml" >&2
    exit 2
}
for row in z z_hidden untrained; do
    mkdir -p "${run}_$row"
    ln -sfn -t "${run}_$row" "../$(basename "$run")/vae" "../$(basename "$run")/memory"
    for verb in evolve evaluate results; do
        worldmodels "$verb" --config "configs/ablations/$row.yaml" --run "${run}_$row" \
            --set evolve.generations=100000 --set "evolve.budget=$steps"
    done
done
