"""What the networks that predict frames share: how they are trained, and what they must give.

Time in training is that of a window of an episode: K frames of context, the last of which is the
one before ``actions[0]``; frame t of the prediction is the one *after* ``actions[t]``.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from worldmodels_repro.sections import Forward

RARE = -5.0  # the ending's first logit: a network of little training must not end dreams at once


class ForwardNetwork(keras.Model):
    """Frames to come, from a context and the actions that are taken.

    One of them gives :meth:`unroll`, which training uses, and :meth:`start` and :meth:`step`,
    which play; both are made of the same layers. Layers' names are those of the weights.

    Args:
        settings: its own.
        actions: numbers in an action.
    """

    def __init__(self, settings: Forward, actions: int):
        super().__init__(name="forward")
        self.settings, self.actions, self.side = settings, actions, settings.side
        self.pixels = settings.side**2 * 3
        self.leave_out = layers.Dropout(settings.dropout)  # of what is seen of a frame
        self.outcome = layers.Dense(2, name="outcome",
                                    bias_initializer=keras.initializers.Constant([0.0, RARE]))
        self.outcome.trainable = settings.outcomes
        names = ["loss", "pixels", "mse", *["reward_loss", "done_loss"] * settings.outcomes]
        self.metrics_by_name = {name: keras.metrics.Mean(name=name) for name in names}

    # --- what a network gives ---

    def start(self, context: Any) -> Any:
        """What it is shown before it predicts -> its state (B, n), all of it in one row.

        Args:
            context: (B, K, S, S, 3) in [0, 1], or the serve (B, 2).
        """
        raise NotImplementedError

    def step(self, state: Any, actions: Any) -> tuple[Any, Any, Any]:
        """State (B, n), actions (B, A) -> logits (B, S, S, 3), features (B, F), state (B, n)."""
        raise NotImplementedError

    def parts(self, state: Any) -> Any:
        """State (B, n) after a step -> what its frame was put together of, all of it in one row.

        Returns:
            k shifts (x, y) in pixels, then k pictures (S, S, 3) in [0, 1] as they are after them:
            (B, k (2 + 3 S S)); None where a frame is not made of parts.
        """
        return None

    def unroll(self, context: Any, actions: Any, frames: Any, picks: Any,
               training: bool) -> tuple[Any, Any]:
        """Whole windows at once.

        Args:
            context: as for :meth:`start`.
            actions: (B, T, A).
            frames: (B, K - 1 + T, S, S, 3) uint8, for those that are shown true frames:
                number K - 1 + t is the one before ``actions[t]``.
            picks: (B, P) the steps t whose predictions are wanted.
            training: whether something is left out.

        Returns:
            logits (B, P, S, S, 3) of the frames after those steps, and features (B, P, F).
        """
        raise NotImplementedError

    # --- what they share ---

    def call(self, inputs: Any, training: bool = False) -> tuple[Any, Any]:
        """A batch of :class:`data.clips.Clips` -> logits of frames and outcomes at its picks.

        Returns:
            (B, P, S, S, 3), and (B, P, 2): the reward, and the logit of the ending.
        """
        frames = inputs["frames"]
        context = (inputs["serve"] if self.settings.context == "serve"
                   else scaled(frames[:, :self.settings.seen]))
        logits, features = self.unroll(context, inputs["actions"], frames, inputs["picks"],
                                       training)
        return logits, self.outcome(features)

    def build(self, input_shape: Any) -> None:
        """Weights are made by :meth:`first_built`."""

    def first_built(self) -> ForwardNetwork:
        """Create every weight, so that they can be counted and loaded before any data."""
        seen = self.settings.seen
        self({"frames": np.zeros((1, seen + 1, self.side, self.side, 3), np.uint8),
              "serve": np.zeros((1, 2), np.float32),
              "actions": np.zeros((1, 2, self.actions), np.float32),
              "picks": np.zeros((1, 1), np.int32)})
        return self

    def seed_dropout(self, seed: int, step: int) -> None:
        """What is left out in a training step depends on its number alone: so it can resume."""
        if self.settings.dropout:
            self.leave_out.seed_generator.state.assign(np.array([seed % 2**32, step], np.uint32))

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None,
                     sample_weight: Any = None, training: bool = True) -> Any:
        """Cross-entropy of the frames' colours, mean over pixels and over steps that are there.

        ``y`` holds ``frames`` (B, P, S, S, 3) uint8, the next ones; ``next_valid`` (B, P), 1 where
        there is a next frame; ``valid`` (B, P), 1 where there is a step; ``reward`` and ``done``
        (B, P), the outcome of the step itself.
        """
        logits, outcome = y_pred
        target = scaled(y["frames"])
        smoothing = self.settings.label_smoothing
        smooth = target * (1.0 - smoothing) + 0.5 * smoothing
        entropy = ops.mean(ops.softplus(logits) - smooth * logits, axis=(2, 3, 4))  # (B, P)
        squares = ops.mean(ops.square(ops.sigmoid(logits) - target), axis=(2, 3, 4))
        told = {"pixels": _masked_mean(entropy, y["next_valid"]),
                "mse": _masked_mean(squares, y["next_valid"])}
        loss = told["pixels"]
        if self.settings.outcomes:
            reward, done = outcome[..., 0], outcome[..., 1]
            told["reward_loss"] = _masked_mean(ops.square(reward - y["reward"]), y["valid"])
            told["done_loss"] = _masked_mean(ops.softplus(done) - y["done"] * done, y["valid"])
            loss = loss + self.settings.outcome_weight * (told["reward_loss"] + told["done_loss"])
        for name, value in (told | {"loss": loss}).items():
            self.metrics_by_name[name].update_state(value)
        return loss

    @property
    def metrics(self) -> list[Any]:
        """Running means since the last reset."""
        return list(self.metrics_by_name.values())


def scaled(frames: Any) -> Any:
    """Frames uint8 -> float32 in [0, 1]."""
    return ops.cast(frames, "float32") / 255.0


def in_turn(stack: list[Any], values: Any) -> Any:
    """What is left of values (N, ...) when all layers have had them."""
    for layer in stack:
        values = layer(values)
    return values


def picked(values: Any, picks: Any) -> Any:
    """(B, T, ...) at steps (B, P) -> (B, P, ...)."""
    B, T = ops.shape(values)[:2]
    rows = picks + T * ops.arange(B, dtype="int32")[:, None]
    return ops.take(ops.reshape(values, (-1, *values.shape[2:])), rows, axis=0)


def each_step(function: Any, values: Any) -> Any:
    """A function of (N, ...) done to (B, P, ...)."""
    shape = ops.shape(values)
    out = function(ops.reshape(values, (-1, *values.shape[2:])))
    return ops.reshape(out, (*shape[:2], *out.shape[1:]))


def in_channels(frames: Any) -> Any:
    """Some frames (B, K, S, S, 3) as one picture (B, S, S, 3 K)."""
    K, S = frames.shape[1], frames.shape[2]
    return ops.reshape(ops.transpose(frames, (0, 2, 3, 1, 4)), (-1, S, S, 3 * K))


def _masked_mean(values: Any, mask: Any) -> Any:
    return ops.sum(values * mask) / ops.maximum(ops.sum(mask), 1.0)
