"""M: the mixture-density recurrent network (section 2.3, appendix A.2)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from worldmodels_repro.models.devices import gpus
from worldmodels_repro.models.mdn_rnn.head import Head
from worldmodels_repro.models.mdn_rnn.lstm import hidden_states
from worldmodels_repro.models.optimizers import optimizer
from worldmodels_repro.sections import Memory

LOG_SQRT_2PI = 0.5 * float(np.log(2.0 * np.pi))
RARE = -5.0  # the ending head's first logit: or else an M of little training ends dreams at once


class MDNRNN(keras.Model):
    """P(z_{t+1} | a_t, z_t, h_t): an LSTM, then a mixture of Gaussians for each latent dimension.

    422,368 parameters for CarRacing (z 32, actions 3, units 256, mixtures 5); 1,678,785 for Doom
    (z 64, action 1 and the restart flag, units 512, the ending head).

    Args:
        z: latent dimensions.
        actions: numbers in an action.
        units: LSTM units.
        mixtures: Gaussians per latent dimension.
        restart_input: whether the input ends with 'this step is an episode's first'.
        done: whether one more output is the logit of 'the episode ends with this step'.
        reward: whether one more output is the step's reward.
        done_weight: weight of ending steps in that head's cross-entropy.
        reward_clip: rewards are clipped to this magnitude before they are learnt.
        foresight: how many horizons of 'the episode ends within so many steps' are learnt from the
            LSTM's state beside. They shape it, and are no part of a dream.
    """

    def __init__(self, z: int, actions: int, units: int = 256, mixtures: int = 5,
                 restart_input: bool = False, done: bool = False, reward: bool = False,
                 done_weight: float = 10.0, reward_clip: float = 10.0, foresight: int = 0,
                 **kwargs: Any):
        super().__init__(**kwargs)
        self.head = Head(z=z, mixtures=mixtures, done=done, reward=reward)
        self.done_weight, self.reward_clip = done_weight, reward_clip
        self.inputs_size = z + actions + int(restart_input)
        # === Layers ===
        self.lstm = layers.LSTM(units, return_sequences=True, return_state=True, name="lstm",
                                dtype=self.dtype_policy)
        self.mixture = layers.Dense(self.head.outputs, name="mdn", dtype="float32")
        self.foresight = (layers.Dense(foresight, name="foresight", dtype="float32")
                          if foresight else None)
        # === Metrics, per step ===
        names = (["loss", "nll"] + ["done_loss"] * done + ["reward_loss"] * reward
                 + ["foresight_loss"] * bool(foresight))
        self.metrics_by_name = {name: keras.metrics.Mean(name=name) for name in names}
        self.build((None, None, self.inputs_size))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create every weight, so that parameters can be counted and loaded before any data."""
        self.lstm.build(input_shape)
        self.mixture.build((None, None, self.lstm.units))
        if self.foresight is not None:
            self.foresight.build((None, None, self.lstm.units))
        if self.head.done_at is not None:
            bias = np.zeros(self.mixture.units, np.float32)
            bias[self.head.done_at] = RARE
            self.mixture.bias.assign(bias)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """[z_t, a_t(, restart_t)] (B, T, inputs) -> raw outputs (B, T, 3 K z (+ heads)).

        Foresight's logits, where they are learnt, come last. Inputs may be a pair, of them and of a
        factor (B, units) for what the outputs see of h, 0 where it is left out.
        """
        inputs, kept = inputs if isinstance(inputs, (tuple, list)) else (inputs, None)
        # (B, T, units); on a GPU the layer's own kernels are the faster ones.
        hidden = self.lstm(inputs)[0] if gpus() else hidden_states(self.lstm, inputs)
        seen = hidden if kept is None else hidden * ops.cast(kept, hidden.dtype)[:, None]
        outputs = self.mixture(seen)
        if self.foresight is None:
            return outputs
        return ops.concatenate([outputs, self.foresight(hidden)], axis=-1)

    def split(self, outputs: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Raw outputs -> mixture log-weights, mu, log sigma (each (..., z, K)), done, reward.

        ``done`` (a logit) and ``reward`` are (...,), or None.
        """
        logits, mu, log_sigma, done, reward = self.head.split(outputs, ops)
        return ops.log_softmax(logits, axis=-1), mu, log_sigma, done, reward

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None,
                     sample_weight: Any = None, training: bool = True) -> Any:
        """Mean over valid steps of the NLL of z_{t+1}, plus the heads' losses.

        ``y`` holds ``z`` (B, T, z), the next latents; ``next_valid`` (B, T), 1 where there is
        a next latent; ``valid`` (B, T), 1 where there is a step; ``done`` and ``reward`` (B, T),
        the outcome of the step itself: the fatal action's outcome is never shifted away.
        """
        log_weights, mu, log_sigma, done, reward = self.split(y_pred)
        nll = mixture_nll(y["z"], log_weights, mu, log_sigma)  # (B, T)
        terms = {"nll": _masked_mean(nll, y["next_valid"])}
        if done is not None:
            # Cross-entropy from the logit; ending steps weigh done_weight (appendix A.2).
            entropy = ops.softplus(done) - y["done"] * done
            weight = 1.0 + (self.done_weight - 1.0) * y["done"]
            terms["done_loss"] = _masked_mean(weight * entropy, y["valid"])
        if reward is not None:
            target = ops.clip(y["reward"], -self.reward_clip, self.reward_clip)
            terms["reward_loss"] = _masked_mean(ops.square(reward - target), y["valid"])
        if self.foresight is not None:
            # The mean over horizons: it is there for the state's sake, not to outweigh the rest.
            logits = y_pred[..., self.head.outputs:]  # (B, T, horizons)
            entropy = ops.softplus(logits) - y["ahead"] * logits
            terms["foresight_loss"] = _masked_mean(entropy, y["known"] * y["valid"][..., None])
        loss = sum(terms.values())
        for name, value in (terms | {"loss": loss}).items():
            self.metrics_by_name[name].update_state(value)
        return loss

    @property
    def metrics(self) -> list[Any]:
        """Running means since the last reset: loss, nll and the heads' losses."""
        return list(self.metrics_by_name.values())


def mixture_nll(target: Any, log_weights: Any, mu: Any, log_sigma: Any) -> Any:
    """-log p(target), the mean over latent dimensions, by log-sum-exp.

    Args:
        target: (..., z).
        log_weights, mu, log_sigma: (..., z, K); the log-weights are normalised over K.

    Returns:
        (...,), in nats per dimension, as the released code reports it.
    """
    distance = (ops.expand_dims(target, -1) - mu) * ops.exp(-log_sigma)  # (..., z, K)
    log_density = log_weights - 0.5 * ops.square(distance) - log_sigma - LOG_SQRT_2PI
    return -ops.mean(ops.logsumexp(log_density, axis=-1), axis=-1)


def _masked_mean(values: Any, mask: Any) -> Any:
    return ops.sum(values * mask) / ops.maximum(ops.sum(mask), 1.0)


def compiled_mdn_rnn(settings: Memory, z: int, actions: int, seed: int) -> MDNRNN:
    """M ready to train, its first weights drawn from ``seed``."""
    keras.utils.set_random_seed(seed)
    memory = MDNRNN(z, actions, settings.units, settings.mixtures, settings.restart_input,
                    settings.done, settings.reward, settings.done_weight, settings.reward_clip,
                    len(settings.foresight), dtype=settings.precision)
    memory.compile(optimizer=optimizer(settings, clipvalue=settings.clip))
    return memory
