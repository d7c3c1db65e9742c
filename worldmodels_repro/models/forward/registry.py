"""The networks that predict frames, by name: a row each. Imports Keras."""

from __future__ import annotations

import keras

from worldmodels_repro.models.forward.assets import Assets
from worldmodels_repro.models.forward.frame_transform import FrameTransform
from worldmodels_repro.models.forward.network import ForwardNetwork
from worldmodels_repro.models.forward.rnn_deconv import RnnDeconv
from worldmodels_repro.models.forward.rnn_dense import RnnDense
from worldmodels_repro.models.forward.spatial_transformer import SpatialTransformer
from worldmodels_repro.sections import Forward

NETWORKS: dict[str, type[ForwardNetwork]] = {
    "rnn_deconv": RnnDeconv, "rnn_dense": RnnDense, "frame_transform": FrameTransform,
    "spatial_transformer": SpatialTransformer, "assets": Assets,
}


def compiled_network(settings: Forward, actions: int, seed: int) -> ForwardNetwork:
    """A network ready to train, its first weights drawn from ``seed``."""
    keras.utils.set_random_seed(seed)
    network = NETWORKS[settings.network](settings, actions)
    network.compile(optimizer=keras.optimizers.Adam(settings.learning_rate))
    return network
