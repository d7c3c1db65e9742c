"""V as data: its layers and named weights, and the programs that workers make of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from worldmodels_repro.errors import UserError
from worldmodels_repro.models.contracts import Precision
from worldmodels_repro.models.vae.layers import PAPER, Layers, layers_named
from worldmodels_repro.models.vae.programs import Decoder, Encoder
from worldmodels_repro.models.weights import load_weights
from worldmodels_repro.storage import Arrays


@dataclass(frozen=True)
class Vision:
    """A :class:`Representation`.

    Attributes:
        weights: by name, as :meth:`Layers.shapes` lists them; the decoder's may be left out where
            nothing is shown. ``encoder/ranges`` is what arithmetic in int8 needs beside.
        layers: what the weights are of.
    """

    weights: Arrays
    layers: Layers = PAPER

    @property
    def size(self) -> int:
        """z, the latent dimensions."""
        return len(self.weights["encoder/mu/bias"])

    def only_encoder(self) -> Vision:
        """What a worker needs: half of the weights."""
        return Vision({name: array for name, array in self.weights.items()
                       if name.startswith("encoder/")}, self.layers)

    def encoder(self, batch: int, precision: Precision = "f32") -> Encoder:
        """Frames in, posteriors out, ``batch`` at a time."""
        return Encoder(self.weights, batch, precision, layers=self.layers)

    def decoder(self, batch: int) -> Decoder:
        """Latents in, frames out, ``batch`` at a time."""
        return Decoder(self.weights, batch, layers=self.layers)


def load_vision(run: Path, layers: str = "paper") -> Vision:
    """V of a run folder.

    Args:
        run: the folder.
        layers: as ``vae.layers`` names them.

    Raises:
        UserError: there is none, or it is of other layers.
    """
    path = run / "vae" / "weights.npz"
    vision = Vision(load_weights(path), layers_named(layers))
    bias = vision.weights.get("encoder/mu/bias")
    if bias is None or bias.ndim != 1:
        raise UserError(f"{path} holds no V: restore it, or train V again under another --run")
    for name, shape in vision.layers.shapes(vision.size).items():
        if name not in vision.weights:
            if name.startswith("decoder/") and "decoder/dense/kernel" not in vision.weights:
                continue  # kept without what draws pictures, as some committed runs are
            raise UserError(f"{path} holds no {name}: restore it, or train V again under another "
                            "--run")
        if vision.weights[name].shape != shape:
            raise UserError(f"{path} holds {vision.weights[name].shape} for {name}, and "
                            f"vae.layers={layers} is {shape}: use the config it was trained with")
    return vision
