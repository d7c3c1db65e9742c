"""Importing Keras without its backend's start-up notes, and with its fast kernels."""

from __future__ import annotations

import os
import sys
import tempfile


def import_keras_quietly(onednn: bool = True) -> None:
    """Import Keras and let TensorFlow look for GPUs, holding back what they write meanwhile.

    TensorFlow's C++ side writes to the process's standard error before any log level is obeyed
    (oneDNN notes, a failed look for CUDA on a machine without a GPU); should the import fail,
    all of it is shown.

    Args:
        onednn: have TensorFlow use oneDNN's kernels, unless ``TF_ENABLE_ONEDNN_OPTS`` is set. By
            itself it does so only on newer CPUs; V and M train faster with them on older ones
            too (docs/performance.md).
    """
    if "keras" in sys.modules:
        return
    if onednn:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notes:
        stderr = os.dup(2)
        os.dup2(notes.fileno(), 2)
        failed = True
        try:
            import keras

            if keras.backend.backend() == "tensorflow":
                import tensorflow

                tensorflow.config.list_physical_devices("GPU")
            failed = False
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if failed:
                notes.seek(0)
                sys.stderr.write(notes.read().decode(errors="replace"))
