#!/usr/bin/env bash
# The two games of docs/your-game.md, or other configs of examples/games; over three seeds each, in
# logs/games/NAME.  bash scripts/your_games.sh [NAME...]     SEEDS="1 2" for others
export WORLDMODELS_EXTRAS=${WORLDMODELS_EXTRAS:-games}
source "$(dirname "$0")/setup.sh"
[ $# -gt 0 ] || set -- enduro cart_pole
seeds=${SEEDS:-1 2 3}
for name; do
    worldmodels all "examples/games/$name.yaml" --run "logs/games/$name" --seeds "${seeds// /,}"
done
