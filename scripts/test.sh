#!/usr/bin/env bash
# Lint, types, the AWS template and tests, as CI runs them.  bash scripts/test.sh [PYTEST OPTIONS]
# bash scripts/test.sh -m slow: what is left out for its time.
WORLDMODELS_EXTRAS=dev,doom
source "$(dirname "$0")/setup.sh"
ruff check .
mypy
cfn-lint aws/stack.yaml
exec python -m pytest "$@"
