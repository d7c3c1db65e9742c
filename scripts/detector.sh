#!/usr/bin/env bash
# The detector map: what tells windows apart, how to walk, and both together, over seeds; the tables
# that answer the log's questions.  bash scripts/detector.sh [OPTIONS]     SEEDS="1 2" for others
#   e.g. SEEDS=1 bash scripts/detector.sh --set classify.steps=2000 --set learn.steps=5000
source "$(dirname "$0")/setup.sh"
options=("$@")
seeds=${SEEDS:-1 2 3 4 5}
place=logs/detector
train() { # NAME CONFIG [OPTIONS]
    worldmodels all "detector/$2" --run "$place/$1" --seeds "${seeds// /,}" "${@:3}" "${options[@]}"
}
for config in classifier classifier_adam classifier_slow; do
    train "$config" "$config" --until classify
done
for question in output=3 dropout=0.4,0.5 units=81,196,625 layers=5 balance=none,median,map \
    squared=true; do
    train classifiers classifier --until classify --grid "classify.$question"
done
train classifiers classifier --until classify --grid classify.window=3 --grid classify.output=1,3
# What the log began with: 3x3 to 3x3, of pixels that are of something alone.
train classifiers classifier --until classify --grid classify.window=3 --grid classify.output=3 \
    --grid classify.neighbours=false
worldmodels map "$place/classifier" "$place/classifier_adam" "$place/classifier_slow" \
    "$place/classifiers"
walks=()
for config in R1 R2 R4 R5 R8 R11 R13 R14 movement_raw; do
    train "$config" "$config"
    walks+=("$place/$config")
done
train joint joint --grid controller.classes=frozen,tuned,fresh
train onward onward # another reward: compare would set its scores beside the others'
first=${seeds%% *}
train alone joint --set controller.classes=fresh --set learn.frozen=true \
    --set "learn.start=$place/R13/seed-$first"
worldmodels compare "${walks[@]}" "$place/joint" "$place/alone"
worldmodels map "${walks[@]}" "$place/joint" "$place/alone"
worldmodels map "$place/onward"
