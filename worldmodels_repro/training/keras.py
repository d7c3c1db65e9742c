"""What training in Keras shares: where it runs, and its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from worldmodels_repro.models.devices import gpus
from worldmodels_repro.models.runtime import has_bfloat16
from worldmodels_repro.models.weights import set_training_state, training_state
from worldmodels_repro.storage import Arrays, load_step, resume_checkpoint, save_checkpoint


def usable_precision(asked: str) -> str:
    """The arithmetic to train in: ``asked``, or float32 on a CPU that has no bfloat16.

    TensorFlow's own kernels for bfloat16 need what OpenVINO's need (AVX-512, or AVX2's later
    bfloat16); on other CPUs it is emulated, at a seventh of float32's speed.
    """
    if asked == "float32" or gpus():
        return asked
    return asked if has_bfloat16() else "float32"


def device_line() -> str:
    """One line that says what trains: the backend, and the GPU where it sees one."""
    return (f"training on {', '.join(gpus()) or 'the CPU (no GPU seen)'} with "
            f"{keras.backend.backend()}")


def save_training(path: Path, model: Any, step: int) -> None:
    """Write weights, optimiser state and how far training came, in one file."""
    save_checkpoint(path, training_state(model) | {"step": np.array(step)})


def resume_training(path: Path, model: Any) -> int:
    """Put back what :func:`save_training` wrote; returns its step, 0 where there is no file.

    Raises:
        UserError: the file does not fit the model.
    """
    def use(state: Arrays, source: str) -> int:
        set_training_state(model, state, source)
        return load_step(state, source)

    return resume_checkpoint(path, use) or 0
