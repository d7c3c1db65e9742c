"""What only some of the work needs: the package's extras, and what is missing without them."""

from __future__ import annotations

from importlib.util import find_spec

from worldmodels_repro.errors import MissingExtraError
from worldmodels_repro.resources import in_checkout

# By the module that is imported, the extra that brings it.
EXTRAS = {"tensorflow": "train", "keras": "train", "tensorboard": "train", "boto3": "aws",
          "botocore": "aws", "mpi4py": "mpi", "matplotlib": "figures", "sklearn": "figures",
          "vizdoom": "doom", "wandb": "wandb", "mlflow": "mlflow", "sqlalchemy": "mlflow",
          "alembic": "mlflow", "minari": "minari", "onnx": "export"}


def require(extra: str) -> None:
    """See that an extra is installed.

    Raises:
        MissingExtraError: one of its modules is missing.
    """
    for module in (module for module, brought in EXTRAS.items() if brought == extra):
        if find_spec(module) is None:
            raise MissingExtraError(module, how_to_install(extra))


def how_to_install(extra: str) -> str:
    """What to type for an extra."""
    if in_checkout():
        return f"WORLDMODELS_EXTRAS={extra} bash scripts/setup.sh, or pip install -e '.[{extra}]'"
    return f"pip install 'worldmodels-repro[{extra}]'"


def missing(module: str) -> MissingExtraError | None:
    """What to say where a module can't be imported; None where no extra brings it."""
    name = module.partition(".")[0]
    return MissingExtraError(name, how_to_install(EXTRAS[name])) if name in EXTRAS else None
