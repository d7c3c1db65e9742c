"""World Models (Ha & Schmidhuber 2018) in one file: CarRacing, from nothing to a driving agent.

    pip install -e '.[train]'
    python examples/one_file.py                # half an hour on two cores; into logs/one_file
    python examples/one_file.py --tiny         # all of it in seconds, to see that it runs

An agent learns a picture of its world (V), learns how that picture moves (M), and then a small
linear controller (C) is evolved to drive. Of the package only the game is used: CarRacing with
gymnasium's own dynamics and rewards, and a picture that costs less. The last scores are on
gymnasium's own.

Names are the paper's: z is what V makes of a frame, h what M remembers, a an action. B episodes are
played at once, T is the steps of one. A part that is done is kept: the program goes on after it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each worker is one process on one core
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster convolutions on older CPUs
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cma
import gymnasium
import numpy as np

Z, H, A = 32, 256, 3  # numbers in z, in h, and in an action: steering, gas, brake
K = 5  # Gaussians in the mixture that M predicts of each number of z
MIRROR = np.array([-1, 1, 1], np.float32)  # an action as a mirror shows it: left is right
Weights = list[np.ndarray]


@dataclass(frozen=True)
class Sizes:
    """How much of everything: half an hour on two cores."""

    episodes: int = 110  # of a random driver, for V and M to learn from
    steps: int = 400  # of each
    epochs: int = 3  # of V over all frames
    batches: int = 800  # of M, each of 32 windows of 100 steps
    window: int = 100
    generations: int = 30
    population: int = 64
    tracks: int = 2  # that each candidate drives in a generation
    patience: int = 40  # ... and gives up after so many steps without a new tile
    every: int = 5  # generations between looks at the mean candidate, on
    checked: int = 16  # other tracks
    judged: int = 16  # tracks at the end, of gymnasium's own game
    whole: int = 1000  # steps of a drive


TINY = Sizes(episodes=4, steps=24, epochs=1, batches=2, window=12, generations=2, population=4,
             tracks=1, every=2, checked=2, judged=1, whole=20)
TRAINING, CHECKING, JUDGING = 1_000_000, 2_000_000, 3_000_000  # first seeds: no track is in two


# ---------------------------------------------------------------------------------- the game ---

def crop(frame: np.ndarray) -> np.ndarray:
    """gymnasium's frame (96, 96, 3) without instruments, as means over areas: (64, 64, 3)."""
    rows, columns = _areas(84), _areas(96)  # (64, 84), (64, 96)
    return np.einsum("ij,jkc,lk->ilc", rows, frame[:84], columns, optimize=True).astype(np.uint8)


@cache
def _areas(n: int) -> np.ndarray:
    """The matrix (64, n) that makes each of 64 pixels the mean over its part of n."""
    edges = np.clip(np.arange(n + 1)[None] * 64 / n, np.arange(64)[:, None],
                    np.arange(1, 65)[:, None])
    return np.diff(edges, axis=1)


@cache
def games(count: int, original: bool) -> list[gymnasium.Env[Any, Any]]:
    """So many games, which a process makes once."""
    name = "CarRacing-v3" if original else "worldmodels_repro:worldmodels/CarRacingFast-v0"
    return [gymnasium.make(name, max_episode_steps=1000) for _ in range(count)]


def random_drive(task: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Drive at random (A.1: "random rollouts"): frames (T, 64, 64, 3), actions (T, 3).

    Actions walk (a += sqrt(dt) N(0, 1)) on odd tracks, and are drawn and held on even ones. Half of
    the drives are kept as a mirror shows them, since tracks turn left more than right.
    """
    seed, steps = task
    game, rng = games(1, False)[0], np.random.default_rng(seed)
    low, high = np.array([-1.0, 0.0, 0.0]), np.ones(3)
    frame, _ = game.reset(seed=seed)
    frames, actions = [], []
    action, left = rng.uniform(low, high), 0
    for _ in range(steps):
        if seed % 2:
            action = np.clip(action + np.sqrt(0.02) * rng.standard_normal(A), low, high)
        elif left == 0:
            action, left = rng.uniform(low, high), int(rng.integers(5, 30))
        left -= 1
        frames.append(frame)
        actions.append(action.astype(np.float32))
        frame, _, ended, cut, _ = game.step(actions[-1])
        if ended or cut:
            break
    turned, flip = (-1, MIRROR) if seed % 4 < 2 else (1, 1)
    return np.array(frames)[:, :, ::turned], np.array(actions) * flip


# ------------------------------------------------------------ V: a variational autoencoder, A.1 ---

def make_vae() -> tuple[Any, Any]:
    """The VAE, and its encoder: frames (B, 64, 64, 3) uint8 -> mu, log sigma^2 (B, 2 Z)."""
    import keras
    from keras import layers, ops

    class Draw(layers.Layer):
        """z = mu + sigma * epsilon, and what KL(N(mu, sigma^2) || N(0, 1)) adds to the loss."""

        def call(self, posterior: Any) -> Any:
            mu, logvar = ops.split(posterior, 2, axis=-1)
            kl = -0.5 * ops.sum(1 + logvar - ops.square(mu) - ops.exp(logvar), axis=-1)
            # A budget of 1 for each number is free. The released code has 0.5; with so little
            # training more gave better drivers.
            self.add_loss(ops.mean(ops.maximum(kl, 1.0 * Z)))
            return mu + ops.exp(0.5 * logvar) * keras.random.normal(ops.shape(mu))

    frames = keras.Input((64, 64, 3), dtype="uint8")
    x = layers.Rescaling(1 / 255)(frames)
    # Half the paper's filters: a quarter of the arithmetic, and nearly as good a picture.
    for filters in (16, 32, 64, 128):  # 64 -> 31 -> 14 -> 6 -> 2 pixels
        x = layers.Conv2D(filters, 4, strides=2, activation="relu")(x)
    posterior = layers.Dense(2 * Z)(layers.Flatten()(x))
    x = layers.Dense(512)(Draw()(posterior))
    # The paper's first deconvolution has one pixel to start from: there it is a dense layer.
    x = layers.Reshape((5, 5, 64))(layers.Dense(5 * 5 * 64, activation="relu")(x))
    for filters, kernel in ((32, 5), (16, 6)):  # 5 -> 13 -> 30 pixels
        x = layers.Conv2DTranspose(filters, kernel, strides=2, activation="relu")(x)
    pictures = layers.Conv2DTranspose(3, 6, strides=2, activation="sigmoid")(x)  # 64 pixels
    vae = keras.Model(frames, pictures)

    def error(seen: Any, made: Any) -> Any:
        """sum (x - y)^2 over all pixels."""
        return ops.sum(ops.square(ops.cast(seen, "float32") / 255 - made), axis=(1, 2, 3))

    vae.compile(keras.optimizers.Adam(1e-3), error)
    return vae, keras.Model(frames, posterior)


def train_vae(frames: np.ndarray, epochs: int, seed: int) -> Weights:
    """V's encoder's weights, after so many passes over frames (N, 64, 64, 3)."""
    import keras

    keras.utils.set_random_seed(seed)
    (vae, encoder), rng = make_vae(), np.random.default_rng([seed, 1])
    for epoch in range(epochs):
        losses = [float(vae.train_on_batch(frames[rows], frames[rows])) for rows in
                  np.array_split(rng.permutation(len(frames)), max(1, len(frames) // 100))]
        say(f"V: epoch {epoch + 1} of {epochs}, loss {np.mean(losses[-100:]):.1f}")
    return [np.asarray(array) for array in encoder.get_weights()]


def encode(v: Weights, frames: np.ndarray) -> np.ndarray:
    """V's encoder in NumPy, for workers: (B, 64, 64, 3) uint8 -> mu, log sigma^2 (B, 2 Z)."""
    if len(frames) > 8:  # what fits into a core's cache is faster
        return np.concatenate([encode(v, frames[i:i + 8]) for i in range(0, len(frames), 8)])
    x = frames.astype(np.float32) / 255
    for kernel, bias in zip(v[:8:2], v[1:8:2], strict=True):
        # Every 4 x 4 patch, two pixels apart, as a row: the convolution is one matrix product.
        patches = np.lib.stride_tricks.sliding_window_view(x, (4, 4), (1, 2))[:, ::2, ::2]
        shape = patches.shape[:3]  # B, rows, columns
        rows = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, kernel[..., 0].size)
        x = np.maximum(rows @ kernel.reshape(-1, kernel.shape[-1]) + bias, 0).reshape(*shape, -1)
    return x.reshape(len(x), -1) @ v[8] + v[9]


# ----------------------------------------------- M: an LSTM with a mixture density output, A.2 ---

def make_memory() -> Any:
    """M, which is told z and a of each step, (B, T, Z + A), and foresees the next z."""
    import keras
    from keras import layers, ops

    inputs = keras.Input((None, Z + A))
    h = layers.LSTM(H, return_sequences=True)(inputs)
    memory = keras.Model(inputs, layers.Dense(3 * K * Z)(h))

    def surprise(z: Any, outputs: Any) -> Any:
        """-log P(z' | a, z, h), where P = sum_k pi_k N(mu_k, sigma_k^2) for each number of z."""
        parts = ops.split(ops.reshape(outputs, (*outputs.shape[:-1], Z, 3 * K)), 3, axis=-1)
        log_pi, mu, log_sigma = ops.log_softmax(parts[0]), parts[1], parts[2]
        off = (ops.expand_dims(z, -1) - mu) * ops.exp(-log_sigma)
        log_normal = -0.5 * (ops.square(off) + np.log(2 * np.pi)) - log_sigma
        return -ops.mean(ops.logsumexp(log_pi + log_normal, axis=-1))

    memory.compile(keras.optimizers.Adam(1e-3, clipvalue=1.0), surprise)
    return memory


def train_memory(posteriors: list[np.ndarray], actions: list[np.ndarray], sizes: Sizes,
                 seed: int) -> Weights:
    """The LSTM's weights, after so many batches of windows out of the drives."""
    import keras

    keras.utils.set_random_seed(seed)
    memory, losses, rng = make_memory(), [], np.random.default_rng([seed, 2])
    long = [k for k, drive in enumerate(actions) if len(drive) > sizes.window]
    for batch in range(sizes.batches):
        rows, targets = [], []
        for k in rng.choice(long, 32):
            start = int(rng.integers(len(actions[k]) - sizes.window))
            part = slice(start, start + sizes.window + 1)
            mu, logvar = np.split(posteriors[k][part], 2, axis=-1)
            z = mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape, np.float32)  # anew
            rows.append(np.concatenate([z[:-1], actions[k][part][:-1]], axis=-1))
            targets.append(z[1:])
        losses.append(float(memory.train_on_batch(np.array(rows), np.array(targets))))
        if (batch + 1) % 100 == 0:
            say(f"M: batch {batch + 1} of {sizes.batches}, loss {np.mean(losses[-100:]):.3f}")
    return [np.asarray(array) for array in memory.layers[1].get_weights()]


def remember(m: Weights, z: np.ndarray, a: np.ndarray, h: np.ndarray,
             c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """h' and c' (B, H) of the LSTM, in NumPy: h_{t+1} = M(z_t, a_t, h_t)."""
    gates = np.concatenate([z, a], axis=1) @ m[0] + h @ m[1] + m[2]  # (B, 4 H)
    i, f, g, o = np.split(gates, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x), by way of tanh, which never overflows."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


# -------------------------------------------------- C: one linear layer, evolved by CMA-ES, A.3 ---

PARAMETERS = A * (Z + H + 1)  # 867


def act(c: np.ndarray, z: np.ndarray, h: np.ndarray) -> np.ndarray:
    """a = tanh(W [z h] + b), then gas from [-1, 1] to [0, 1] and no brake below 0.

    ``c`` holds W and b of each driver, (B, 867); z is (B, Z), h (B, H).
    """
    features = np.concatenate([z, h, np.ones((len(z), 1), np.float32)], axis=1)
    out = np.tanh(np.einsum("bij,bj->bi", c.reshape(-1, A, Z + H + 1), features))
    return np.stack([out[:, 0], 0.5 * (out[:, 1] + 1), np.clip(out[:, 2], 0, 1)], axis=1)


@dataclass(frozen=True)
class Drive:
    """What a worker plays at once: B drivers (B, 867), each on the track of its seed (B,)."""

    v: Weights
    m: Weights
    drivers: np.ndarray
    seeds: list[int]
    longest: int
    patience: int = 1000
    original: bool = False


def drive(task: Drive) -> np.ndarray:
    """The drivers' scores (B,): in every step of every game V sees, C acts, M remembers.

    Each sees a frame and its mirror image, and does the mean of what it would do in either.
    """
    count = len(task.seeds)
    envs = games(count, task.original)
    see = crop if task.original else np.asarray
    frames = np.stack([see(envs[k].reset(seed=seed)[0]) for k, seed in enumerate(task.seeds)])
    h, c = np.zeros((2, 2 * count, H), np.float32)  # rows from count on are of mirror images
    scores, drought = np.zeros(count), np.zeros(count, int)
    playing = np.arange(count)
    for step in range(task.longest):
        rows = np.concatenate([playing, count + playing])
        views = np.concatenate([frames[playing], frames[playing, :, ::-1]])
        # mu stands for z: a draw would only be noise on the few tracks that there is time for.
        z = encode(task.v, views)[:, :Z]
        a, mirrored = np.split(act(task.drivers[rows % count], z, h[rows]), 2)
        a = ((a + mirrored * MIRROR) / 2).astype(np.float32)
        h[rows], c[rows] = remember(task.m, z, np.concatenate([a, a * MIRROR]), h[rows], c[rows])
        over = np.zeros(len(playing), bool)
        for row, k in enumerate(playing):
            frame, reward, ended, cut, _ = envs[k].step(a[row])
            frames[k] = see(frame)
            scores[k] += float(reward)
            drought[k] = 0 if float(reward) > 0 else drought[k] + 1
            over[row] = ended or cut
            if drought[k] >= task.patience and not over[row]:
                scores[k] -= 0.1 * (task.longest - step - 1)  # what standing still costs
                over[row] = True
        playing = playing[~over]
        if not len(playing):
            break
    return scores


def scores_of(pool: Any, workers: int, task: Drive) -> np.ndarray:
    """The same as :func:`drive`, spread over the workers."""
    order = np.arange(len(task.seeds))
    parts = [order[k::workers] for k in range(workers) if len(order[k::workers])]
    found = pool.map(drive, [replace(task, drivers=task.drivers[part],
                                     seeds=[task.seeds[k] for k in part]) for part in parts])
    scores = np.empty(len(order))
    for part, own in zip(parts, found, strict=True):
        scores[part] = own
    return scores


def evolve(pool: Any, workers: int, v: Weights, m: Weights, sizes: Sizes, seed: int) -> np.ndarray:
    """The best mean of CMA-ES: a driver (867,)."""
    strategy = cma.CMAEvolutionStrategy(np.zeros(PARAMETERS), 0.1, {
        "popsize": sizes.population, "seed": seed, "verbose": -9})
    best, best_score = np.zeros(PARAMETERS, np.float32), -np.inf
    for generation in range(1, sizes.generations + 1):
        asked = strategy.ask()
        candidates = np.array(asked, np.float32)  # (P, 867)
        seeds = [TRAINING + sizes.tracks * generation + k for k in range(sizes.tracks)]
        returns = scores_of(pool, workers, Drive(
            v, m, candidates.repeat(sizes.tracks, axis=0), seeds * sizes.population,
            sizes.whole, sizes.patience)).reshape(sizes.population, sizes.tracks)
        strategy.tell(asked, -returns.mean(axis=1))
        strategy.sigma *= 0.97  # steps shorten, as half an hour's end comes near
        text = f"mean {returns.mean():.0f}, best {returns.mean(axis=1).max():.0f}"
        if generation % sizes.every == 0:
            mean = np.array(strategy.mean, np.float32)
            score = scores_of(pool, workers, Drive(
                v, m, mean[None].repeat(sizes.checked, axis=0),
                [CHECKING + k for k in range(sizes.checked)], sizes.whole, 100)).mean()
            text += f"; CMA's mean on other tracks {score:.0f}"
            if score > best_score:
                best, best_score = mean, score
        say(f"C: generation {generation} of {sizes.generations}, {text}")
    return best


# --------------------------------------------------------------------------- all of it, in turn ---

START = time.monotonic()


def say(text: str) -> None:
    """Print with the minutes so far."""
    print(f"{(time.monotonic() - START) / 60:5.1f} min  {text}", flush=True)


def kept(file: Path, make: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    """Arrays of a file; where it is not there they are made, and written whole or not at all."""
    if not file.exists():
        arrays = make()
        part = file.with_suffix(".part.npz")
        np.savez(part, *arrays)
        part.replace(file)
    with np.load(file, allow_pickle=False) as archive:
        return [archive[name] for name in archive.files]


def main() -> None:
    """Collect, see, remember, drive, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, default=Path("logs/one_file"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--tiny", action="store_true", help="seconds in place of half an hour")
    options = parser.parse_args()
    folder, seed, workers = options.folder, options.seed, options.workers
    sizes = TINY if options.tiny else Sizes()
    folder.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        drives: list[tuple[np.ndarray, np.ndarray]] = []
        if not (folder / "memory.npz").exists():  # neither V nor M needs them any more
            tasks = [(1000 * seed + k, sizes.steps) for k in range(sizes.episodes)]
            drives = pool.map(random_drive, tasks, chunksize=1)
            say(f"{sum(len(actions) for _, actions in drives)} frames of random drives")
        v = kept(folder / "vae.npz", lambda: train_vae(
            np.concatenate([frames for frames, _ in drives]), sizes.epochs, seed))
        m = kept(folder / "memory.npz", lambda: train_memory(
            pool.starmap(encode, [(v, frames) for frames, _ in drives], chunksize=1),
            [actions for _, actions in drives], sizes, seed))
        drives.clear()
        best, = kept(folder / "driver.npz", lambda: [evolve(pool, workers, v, m, sizes, seed)])
        scores = scores_of(pool, workers, Drive(
            v, m, best[None].repeat(sizes.judged, axis=0),
            [JUDGING + k for k in range(sizes.judged)], sizes.whole, original=True))
    say(f"gymnasium's CarRacing-v3, {sizes.judged} tracks that were never driven: "
        f"{scores.mean():.0f} ± {scores.std():.0f}")


if __name__ == "__main__":
    main()
