#!/usr/bin/env bash
# Lint, types and tests, as CI runs them.  bash scripts/test.sh [PYTEST OPTIONS]
WORLDMODELS_EXTRAS=dev,doom
source "$(dirname "$0")/setup.sh"
ruff check .
mypy
exec python -m pytest "$@"
