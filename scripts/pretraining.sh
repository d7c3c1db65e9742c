#!/usr/bin/env bash
# What pre-training is worth to TD3: each critic and encoder on each game over five seeds, compared; a
# game's variants share their episodes.  bash scripts/pretraining.sh [VARIANT...] [-- OPTIONS]
#   GAMES="pendulum"  SEEDS="1 2"     e.g. bash scripts/pretraining.sh state next -- --set learn.steps=2000
source "$(dirname "$0")/setup.sh"
variants=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    variants+=("$1")
    shift
done
[ $# -eq 0 ] || shift
[ ${#variants[@]} -gt 0 ] || variants=(state next late alone ahead fresh frozen tuned both)
for game in ${GAMES:-pendulum lander}; do
    for seed in ${SEEDS:-1 2 3 4 5}; do
        shared=logs/pretraining/$game/seed-$seed
        for verb in rollouts pretrain; do
            worldmodels "$verb" --config "configs/pretraining/$game.yaml" --run "$shared" \
                --set "seed=$seed" "$@"
        done
        for variant in "${variants[@]}"; do
            run=logs/pretraining/${game}_$variant/seed-$seed
            mkdir -p "$run"
            ln -sfn -t "$run" "../../$game/seed-$seed/rollouts"
            case $variant in
                frozen | tuned) ln -sfn -t "$run" "../../$game/seed-$seed/pretrain" ;;
            esac
            worldmodels all "configs/pretraining/${game}_$variant.yaml" --run "$run" \
                --set "seed=$seed" "$@"
            case $variant in fresh | frozen | tuned | both) worldmodels probe --run "$run" ;; esac
        done
    done
    runs=()
    for variant in "${variants[@]}"; do
        runs+=("logs/pretraining/${game}_$variant")
    done
    worldmodels compare "${runs[@]}"
done
