#!/usr/bin/env bash
# What all scripts share: .venv with this project in it. Sourced; quick when nothing is to do.
#   WORLDMODELS_PYTHON   the Python to make .venv with (default: the first of 3.11-3.13 there is)
#   WORLDMODELS_EXTRAS   extras to install beside "all", e.g. "dev" or "gpu,doom" (added to those
#                        there, and to the one that the config's game needs)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local name
    for name in ${WORLDMODELS_PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "setup: Python 3.11, 3.12 or 3.13 is needed; install one and type" \
        "WORLDMODELS_PYTHON=/path/to/python bash $0" >&2
    return 2
}

# Whether a config, or the config it starts from, names Doom's game.
plays_doom() {
    local base
    grep -Eqs '^game: *take_cover' "$1" && return
    base=$(sed -n 's/^base: *//p' "$1" 2>/dev/null)
    [ -n "$base" ] && ! grep -Eq '^game:' "$1" && plays_doom "$(dirname "$1")/$base"
}

# The folder of wheels is whole only when the stamp says so: an interrupted install starts again.
stamp=.venv/installed
extras=all${WORLDMODELS_EXTRAS:+,$WORLDMODELS_EXTRAS}
if [[ " $* " == *" game=take_cover "* ]] || plays_doom "${1:-}"; then
    extras+=,doom
fi
extras=$({ sed -n 2p "$stamp" 2>/dev/null || true; echo "$extras"; } | tr ',' '\n' |
    sed '/^$/d' | sort -u | paste -sd, -)
wanted=$(sha256sum pyproject.toml setup.py constraints.txt | sha256sum | cut -d' ' -f1)
stamped=$(printf '%s\n%s' "$wanted" "$extras")
if [ ! -f "$stamp" ] || [ "$stamped" != "$(cat "$stamp")" ]; then
    if [ ! -x .venv/bin/python ]; then
        python=$(find_python)
        echo "setup: making .venv with $("$python" --version)"
        "$python" -m venv .venv
    fi
    echo "setup: installing worldmodels-repro[$extras] (a few minutes, once)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt --editable ".[$extras]"
    echo "$stamped" >"$stamp"
fi
export PATH="$PWD/.venv/bin:$PATH"

# Under mpirun the first rank is the stage and the others are its workers; started this way, an
# error on one rank ends them all.
ranks=${PMI_SIZE:-${OMPI_COMM_WORLD_SIZE:-1}}
stage=(worldmodels)
[ "$ranks" -gt 1 ] && stage=(python -m mpi4py.futures -m worldmodels_repro.cli)
true
