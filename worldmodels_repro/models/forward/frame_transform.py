"""Frame transformation: no hidden state; the last frames and an action become the next one."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from worldmodels_repro.models.forward.network import ForwardNetwork, in_turn, picked, scaled
from worldmodels_repro.sections import Forward


class FrameTransform(ForwardNetwork):
    """The last K frames -> 64 -> 64 -> H, beside the action -> T (H) -> 128 -> 128 -> a frame.

    Its state is the last K frames; when it plays, its own.
    """

    def __init__(self, settings: Forward, actions: int):
        super().__init__(settings, actions)
        self.views = [layers.Flatten(), self.leave_out]
        for number, size in enumerate((64, 64, settings.units), start=1):
            self.views += [layers.Dense(size, name=f"view{number}"),
                           layers.LayerNormalization(name=f"view{number}norm"),
                           layers.Activation("relu")]
        self.embed = layers.Dense(settings.embedding, activation="relu", name="embed")
        self.change = layers.Dense(settings.units, activation="relu", name="change")
        self.draws = [*(layers.Dense(128, activation="relu", name=f"draw{number}")
                        for number in (1, 2)),
                      layers.Dense(self.pixels, name="draw3"),
                      layers.Reshape((self.side, self.side, 3))]
        self.first_built()

    def next(self, frames: Any, actions: Any, training: bool = False) -> tuple[Any, Any]:
        """Frames (N, K, S, S, 3), actions (N, A) -> logits (N, S, S, 3) and T (N, H)."""
        seen = self.views[0](frames)
        for layer in self.views[1:]:
            seen = layer(seen, training=training) if layer is self.leave_out else layer(seen)
        change = self.change(ops.concatenate([seen, self.embed(actions)], axis=1))
        return in_turn(self.draws, change), change

    def start(self, context: Any) -> Any:
        """Context (B, K, S, S, 3) -> state (B, n): the frames themselves."""
        return ops.reshape(context, (-1, self.settings.seen * self.pixels))

    def step(self, state: Any, actions: Any) -> tuple[Any, Any, Any]:
        """One step: logits, T, state."""
        frames = ops.reshape(state, (-1, self.settings.seen, self.side, self.side, 3))
        logits, change = self.next(frames, actions)
        drawn = ops.reshape(ops.sigmoid(logits), (-1, self.pixels))
        return logits, change, ops.concatenate([state[:, self.pixels:], drawn], axis=1)

    def unroll(self, context: Any, actions: Any, frames: Any, picks: Any,
               training: bool) -> tuple[Any, Any]:
        """True frames before every picked step."""
        B, P = ops.shape(picks)
        K, S = self.settings.seen, self.side
        seen = scaled(ops.stack([picked(frames, picks + k) for k in range(K)], axis=2))
        logits, change = self.next(ops.reshape(seen, (-1, K, S, S, 3)),
                                   ops.reshape(picked(actions, picks), (-1, self.actions)),
                                   training)
        return ops.reshape(logits, (B, P, S, S, 3)), ops.reshape(change, (B, P, -1))
