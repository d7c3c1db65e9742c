"""What only some of the work needs: the package's extras, and what is missing without them."""

from __future__ import annotations

from importlib.util import find_spec

from worldmodels_repro.errors import UserError
from worldmodels_repro.resources import in_checkout

# By the module that is imported, the extra that brings it.
EXTRAS = {"tensorflow": "train", "keras": "train", "tensorboard": "train", "boto3": "aws",
          "botocore": "aws", "mpi4py": "mpi", "matplotlib": "figures", "sklearn": "figures",
          "vizdoom": "doom"}


def require(extra: str) -> None:
    """See that an extra is installed.

    Raises:
        UserError: one of its modules is missing.
    """
    for module in (module for module, brought in EXTRAS.items() if brought == extra):
        if find_spec(module) is None:
            raise UserError(str(advice(module)))


def advice(module: str) -> str | None:
    """What to type where a module can't be imported; None where no extra brings it."""
    name = module.partition(".")[0]
    if name not in EXTRAS:
        return None
    extra = EXTRAS[name]
    ways = (f"WORLDMODELS_EXTRAS={extra} bash scripts/setup.sh, or pip install -e '.[{extra}]'"
            if in_checkout() else f"pip install 'worldmodels-repro[{extra}]'")
    return f"{name} is not installed: type {ways}"
