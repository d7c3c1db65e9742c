#!/usr/bin/env bash
# Networks that predict frames: collect each game once, train every config, and compare them; then
# learn Pong inside one of them, and judge that in Pong.
#   bash scripts/forward_all.sh [OPTIONS]     # e.g. --set forward.steps=2000
source "$(dirname "$0")/setup.sh"
for game in pong cube_crash; do
    worldmodels rollouts --config "configs/forward/$game.yaml" --run "logs/forward/$game" "$@"
    runs=()
    for config in "configs/forward/${game}"_*.yaml; do
        run=logs/forward/$(basename "$config" .yaml)
        mkdir -p "$run"
        ln -sfn -t "$run" "../$game/rollouts"
        worldmodels forward --config "$config" --run "$run" "$@"
        worldmodels figures --run "$run"
        runs+=("$run")
    done
    worldmodels bench "${runs[@]}" --out "logs/forward/$game/bench.json"
done
inside=logs/forward/inside
mkdir -p "$inside"
ln -sfn -t "$inside" ../pong/rollouts ../pong_rnn_deconv/forward
for verb in learn evaluate figures; do
    worldmodels "$verb" --config configs/forward/inside.yaml --run "$inside" "$@"
done
