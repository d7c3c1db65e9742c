#!/usr/bin/env bash
# Lint, types, the AWS template and tests, as CI runs them.  bash scripts/test.sh [PYTEST OPTIONS]
# bash scripts/test.sh -m slow -n 0: what is left out for its time, one after another.
WORLDMODELS_EXTRAS=dev,docs,doom,games,wandb,mlflow
source "$(dirname "$0")/setup.sh"
ruff check .
mypy & types=$!  # on one core, while the next three have the other
lint-imports
cfn-lint aws/stack.yaml
NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --site-dir "$(mktemp -d)"
wait "$types"
# A module's tests stay in one process: they share what its fixtures make. One process more than
# cores: many tests wait, for another process or a clock.
exec python -m pytest --numprocesses $(($(nproc) + 1)) --maxprocesses 4 --dist loadfile "$@"
