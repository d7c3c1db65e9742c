"""What Keras computes on."""

from __future__ import annotations

import keras


def gpus() -> list[str]:
    """Names of the GPUs that Keras's backend sees."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        return [gpu.name for gpu in tensorflow.config.list_physical_devices("GPU")]
    if backend == "jax":
        import jax

        return [str(device) for device in jax.devices() if device.platform != "cpu"]
    return []
