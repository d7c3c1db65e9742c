#!/usr/bin/env bash
# Lint, types, the AWS template and tests, as CI runs them.  bash scripts/test.sh [PYTEST OPTIONS]
WORLDMODELS_EXTRAS=dev,doom
source "$(dirname "$0")/setup.sh"
ruff check .
mypy
cfn-lint aws/stack.yaml
# Two at a time: much of the suite waits for processes of its own. A file stays together.
exec python -m pytest -n 2 --dist loadfile "$@"
