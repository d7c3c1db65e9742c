#!/usr/bin/env bash
# The questions that the field argues about, asked of the quick preset (configs/studies.yaml): cells
# that differ in one thing, over seeds. V and M are made once a seed, where the question allows.
#   bash scripts/studies.sh                  # all of them, over five seeds
#   SEEDS=3 bash scripts/studies.sh sigma    # one, over three
source "$(dirname "$0")/setup.sh"
declare -A questions=(
    [rollouts]="evolve.rollouts=1,4,16 evolve.population=16,64"
    [sigma]="evolve.sigma=0.03,0.3"
    [decay]="evolve.sigma_decay=0.97"
    [strategy]="controller.by=open_es,pgpe"
    [diagonal]="evolve.diagonal=true"
    [tracks]="evolve.common_tracks=false"
    [patience]="evolve.patience=0,100"
    [sample]="evolve.sample_z=true"
    [mirror]="controller.mirror=false"
    [memory]="evolve.untrained_memory=true"
    [mixtures]="memory.mixtures=1,3,10"
    [tolerance]="vae.kl_tolerance=0.5,2.0"
    [weight]="vae.square_weight=0.25,4.0"
    [data]="rollouts.policies={network: 360},{brownian: 360},{held: 360}"
)
order=(rollouts sigma decay strategy diagonal tracks patience sample mirror memory mixtures
    tolerance weight data)
asked=("$@")
[ $# -gt 0 ] || asked=("${order[@]}")
for question in "${asked[@]}"; do
    if [ -z "${questions[$question]+there}" ]; then
        echo "$question is no question: name some of ${order[*]}" >&2
        exit 2
    fi
done
seeds=${SEEDS:-5}
worldmodels all studies --seeds "$seeds"
for question in "${asked[@]}"; do
    grid=()
    while read -r axis; do grid+=(--grid "$axis"); done \
        < <(sed -E 's/ ([a-z]+\.)/\n\1/g' <<< "${questions[$question]}")
    worldmodels all studies --seeds "$seeds" "${grid[@]}"
done
