"""Training V and M on all cores, beside Keras as it comes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.env import held_policy
from benchmarks.measure import Contender, Scale, Stretch, take_turns
from benchmarks.plain import Z, memory_fit, vae_fit
from benchmarks.report import Row, compare
from worldmodels_repro.data.sequences import Sequences
from worldmodels_repro.envs.car_racing import FastCarRacing
from worldmodels_repro.progress import Progress
from worldmodels_repro.sections import Memory, Vae
from worldmodels_repro.stages.vae import Frames
from worldmodels_repro.storage import Arrays
from worldmodels_repro.training.quiet import import_keras_quietly

Precision = Literal["float32", "mixed_bfloat16"]
PRECISIONS: dict[str, Precision] = {"bf16": "mixed_bfloat16", "f32": "float32"}
EPISODE = 500  # frames


class _Silent(Progress):
    """Counts nothing and says nothing."""

    def add(self, units: int = 1, facts: str = "") -> None:
        pass


def vae_train(scale: Scale) -> list[Row]:
    """Frames a second through V's training, the shuffle pool included."""
    batch, episodes = scale.pick(100, 10), scale.pick(4, 1)
    size = scale.pick(EPISODE, 30)
    contenders = {name: Contender(_project_vae, (precision, episodes, size, batch), False)
                  for name, precision in PRECISIONS.items()}
    contenders["plain"] = Contender(_plain_vae, (episodes, size, batch), False)
    rates = take_turns(contenders, scale.rounds)
    return [compare(f"vae_train.{name}", "frames/s on all cores", rates[name], rates["plain"],
                    "a plain Keras VAE, float32, fit()") for name in PRECISIONS]


def memory_train(scale: Scale) -> list[Row]:
    """Gradient steps a second of M's training, drawing its batches included."""
    settings = {"sequence": scale.pick(999, 20), "batch": scale.pick(100, 4)}
    steps = scale.pick(2, 1)
    contenders = {name: Contender(_project_memory, (precision, settings, steps), False)
                  for name, precision in PRECISIONS.items()}
    contenders["plain"] = Contender(_plain_memory, (settings, steps), False)
    rates = take_turns(contenders, scale.rounds)
    return [compare(f"memory_train.{name}", "steps/s on all cores", rates[name], rates["plain"],
                    "a plain Keras LSTM, float32, fit()", **settings) for name in PRECISIONS]


def frames_of_drives(episodes: int, steps: int) -> list[np.ndarray]:
    """What V trains on: episodes of (steps, 64, 64, 3) uint8."""
    env = FastCarRacing()
    drives = []
    for seed in range(episodes):
        policy = held_policy(np.random.default_rng(seed))
        frame, _ = env.reset(seed=seed)
        frames = [frame]
        while len(frames) < steps:
            frames.append(env.step(policy(env))[0])
        drives.append(np.stack(frames))
    return drives


def _project_vae(precision: Precision, episodes: int, size: int, batch: int) -> Stretch:
    import_keras_quietly()
    from worldmodels_repro.models.vae.vae import compiled_vae

    drives = frames_of_drives(episodes, size)
    settings = Vae(batch=batch, precision=precision)
    vae = compiled_vae(settings, 0)
    names = [str(number) for number in range(episodes)]

    def epoch(frames: int) -> Frames:
        return Frames(settings=settings, folder=Path(), training=names,
                      load=lambda name: drives[int(name)], frames=frames,
                      validation=drives[0][:0], seed=0)

    epoch(2 * batch).train(vae, 0, 1, _Silent("vae", 0, "frames"))  # compiles
    frames = episodes * size // batch * batch
    whole = epoch(frames)

    def stretch(number: int) -> float:
        start = time.perf_counter()
        whole.train(vae, 0, number, _Silent("vae", 0, "frames"))
        return frames / (time.perf_counter() - start)

    return stretch


def _plain_vae(episodes: int, size: int, batch: int) -> Stretch:
    import_keras_quietly(onednn=False)
    return vae_fit(np.concatenate(frames_of_drives(episodes, size)), batch)


def _latents(count: int, sequence: int) -> list[Arrays]:
    """Episodes as the latents stage keeps them."""
    rng = np.random.default_rng(0)
    T = sequence + 1
    return [{"mu": rng.standard_normal((T, Z)).astype(np.float16),
             "logvar": np.full((T, Z), -2.0, np.float16),
             "actions": rng.uniform(0, 1, (T, 3)).astype(np.float32),
             "rewards": np.zeros(T, np.float32), "terminated": np.zeros(T, bool)}
            for _ in range(count)]


def _project_memory(precision: Precision, sizes: dict[str, Any], steps: int) -> Stretch:
    import_keras_quietly()
    from worldmodels_repro.models.mdn_rnn.mdn_rnn import compiled_mdn_rnn

    settings = Memory(precision=precision, **sizes)
    memory = compiled_mdn_rnn(settings, Z, 3, 0)
    sequences = Sequences(_latents(settings.batch, settings.sequence), settings.sequence)
    rng = np.random.default_rng(0)

    def train(count: int) -> None:
        for _ in range(count):
            inputs, targets = sequences.batch(settings.batch, rng)
            float(memory.train_on_batch(inputs, targets, return_dict=True)["loss"])

    train(1)  # compiles

    def stretch(number: int) -> float:
        start = time.perf_counter()
        train(steps)
        return steps / (time.perf_counter() - start)

    return stretch


def _plain_memory(sizes: dict[str, int], steps: int) -> Stretch:
    import_keras_quietly(onednn=False)
    sequences = Sequences(_latents(sizes["batch"], sizes["sequence"]), sizes["sequence"])
    inputs, targets = sequences.batch(steps * sizes["batch"], np.random.default_rng(0))
    return memory_fit(inputs, targets["z"], sizes["batch"])
