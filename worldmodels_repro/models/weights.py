"""Weights of V and M as named arrays: what is written to disk, and what workers read.

Names are ``layer/variable`` (``encoder/conv1/kernel``, ``lstm/recurrent_kernel``), so that a
weights file can be read with NumPy alone and says what it holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from worldmodels_repro.errors import UserError
from worldmodels_repro.storage import Arrays, load_npz, save_npz

_PARTS = {"conv": "encoder/", "mu": "encoder/", "logvar": "encoder/",
          "dense": "decoder/", "deconv": "decoder/"}


def weights_of(model: Any) -> Arrays:
    """The model's weights, by name, as float32 arrays."""
    return {_name(variable): np.asarray(variable) for variable in _variables(model)}


def set_weights(model: Any, arrays: Arrays, source: str = "these weights") -> None:
    """Put named arrays into a model; half precision is widened.

    Raises:
        UserError: a name is missing or a shape differs.
    """
    for variable in _variables(model):
        name = _name(variable)
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            found = arrays[name].shape if name in arrays else "nothing"
            raise UserError(f"{source} holds {found} for {name}, the model wants "
                            f"{tuple(variable.shape)}: use the config it was trained with")
    for variable in _variables(model):
        variable.assign(arrays[_name(variable)].astype("float32"))


def training_state(model: Any) -> Arrays:
    """Weights and optimiser state: with the step's number, all that a resume needs."""
    state = {f"model/{name}": array for name, array in weights_of(model).items()}
    for index, variable in enumerate(model.optimizer.variables):
        state[f"optimizer/{index:03d}"] = np.asarray(variable)
    return state


def set_training_state(model: Any, state: Arrays, source: str) -> None:
    """Undo :func:`training_state`; the model must be compiled.

    Raises:
        UserError: the arrays do not fit the model.
    """
    set_weights(model, {name.removeprefix("model/"): array for name, array in state.items()},
                source)
    model.optimizer.build(model.trainable_variables)
    for index, variable in enumerate(model.optimizer.variables):
        array = state.get(f"optimizer/{index:03d}")
        if array is None or array.shape != tuple(variable.shape):
            raise UserError(f"{source} does not hold this optimiser's state: remove it to train "
                            "from the last best weights anew")
        variable.assign(array)


def save_weights(path: Path, model: Any) -> None:
    """Write a model's weights as one ``.npz`` of named arrays, in half precision.

    V takes 8 MB so, small enough to be committed with a run; and as every later stage reads this
    file, what is committed is what the agent was evolved with, to the bit.
    """
    save_npz(path, {name: array.astype(np.float16) for name, array in weights_of(model).items()})


def load_weights(path: Path) -> Arrays:
    """Read named weights as float32, whatever precision they were kept in.

    Raises:
        UserError: the file is missing or damaged, or holds something else.
    """
    arrays = load_npz(path)
    if any(array.dtype.kind not in "biuf" for array in arrays.values()):
        raise UserError(f"{path} holds no weights: remove it and run its stage again")
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def as_halves(array: np.ndarray) -> np.ndarray:
    """float32 in half precision where that loses nothing, else as it is."""
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), array) else array


def _variables(model: Any) -> list[Any]:
    """What is learnt, and the means and variances of batch normalisations."""
    return [*model.trainable_variables, *(
        variable for variable in model.non_trainable_variables
        if variable.path.split("/")[-1] in ("moving_mean", "moving_variance"))]


def _name(variable: Any) -> str:
    layer, kind = variable.path.split("/")[-2:]
    if layer == "lstm_cell":
        layer = "lstm"
    part = _PARTS.get(layer.rstrip("0123456789"), "")
    return f"{part}{layer}/{kind}"
