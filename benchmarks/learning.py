"""A learner's update beside the same update in plain ``tf.function``; threads for it; whole stages.

The rows of whole stages are what ``worldmodels aws`` estimates by (``cloud/rates.py``)::

    python -m benchmarks learn_steps pretrain_steps >> docs/results/benchmarks/CPU.jsonl
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import threads
from benchmarks.measure import Contender, Scale, Stretch, in_process, take_turns
from benchmarks.report import Row, compare
from worldmodels_repro.cloud.rates import learn_row, pretrain_row
from worldmodels_repro.config import load_config
from worldmodels_repro.sections import Learn
from worldmodels_repro.storage import load_csv
from worldmodels_repro.training.quiet import import_keras_quietly

FEATURES, CHOICES, TRANSITIONS = 8, 4, 5000
SHAPES = {"small": (64,), "large": (256, 128)}


def learn_update(scale: Scale) -> list[Row]:
    """Updates a second of double DQN, its batches' draws and the way back to NumPy included."""
    updates = scale.pick(3000, 20)
    rows = []
    for name, layers in SHAPES.items():
        contenders = {"ours": Contender(_project, (layers, updates)),
                      "plain": Contender(_plain, (layers, updates))}
        rates = take_turns(contenders, scale.rounds)
        rows.append(compare(f"learn_update.{name}", "updates/s on one core", rates["ours"],
                            rates["plain"], "plain tf.function, Keras layers and Adam",
                            layers=list(layers), batch=Learn().batch))
    return rows


def learn_threads(scale: Scale) -> list[Row]:
    """Updates a second with one of TensorFlow's threads, two and four, beside one."""
    updates = scale.pick(3000, 20)
    rows = []
    for name, layers in SHAPES.items():
        contenders = {str(threads): Contender(_project, (layers, updates, threads), one_core=False)
                      for threads in (1, 2, 4)}
        rates = take_turns(contenders, scale.rounds)
        rows += [compare(f"learn_threads.{name}.{threads}", "updates/s on all cores",
                         rates[threads], rates["1"], "one thread", layers=list(layers))
                 for threads in ("2", "4")]
    return rows


LEARNERS = ("testbench/CP_basic", "testbench/LL_256_128", "testbench/PD_td3", "testbench/LC_td3",
            "testbench/LL_img", "pretraining/pendulum_fresh")
PRETRAINED = "pretraining/lander_pictures"


def learn_steps(scale: Scale) -> list[Row]:
    """Steps a second of whole learning on one core, with one thread."""
    rows = {}
    for config in LEARNERS[:scale.pick(len(LEARNERS), 2)]:
        seconds = float(scale.pick(120, 1))
        stretches = in_process(threads.measure, config, 1, 1, seconds, seconds / 4)
        rates = [stretch["steps_per_second"] for stretch in stretches]
        rows[learn_row(load_config(config))] = (config, rates)
    return [Row(name, median(rates), "steps/s on one core",
                details={"config": config, "range": [min(rates), max(rates)]})
            for name, (config, rates) in rows.items()]


def pretrain_steps(scale: Scale) -> list[Row]:
    """Gradient steps a second of what learns before C, validations included, on all cores."""
    found = in_process(_pretrained, scale.pick(500, 4), scale.pick(20, 3), one_core=False)
    return [Row(pretrain_row(name), median(rates), "gradient steps/s on all cores",
                details={"config": PRETRAINED, "range": [min(rates), max(rates)]})
            for name, rates in found.items()]


def _pretrained(every: int, episodes: int) -> dict[str, list[float]]:
    """Each network's rate in every round but the first, in which programs are compiled."""
    from worldmodels_repro.run import Run
    from worldmodels_repro.stages import pretrain, rollouts

    settings = load_config(PRETRAINED, [
        f"rollouts.policies={{held: {episodes}}}", f"pretrain.steps={4 * every}",
        f"pretrain.validate_every={every}", "trackers=[]"])
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), settings)
        rollouts.run(run)
        pretrain.run(run)
        return {name: [every / max(row["seconds"], 0.01) for row in load_csv(
            run.folder("pretrain") / name / "history.csv", "step", "seconds")[1:]]
            for name in settings.pretrain.networks}


def _transitions() -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((TRANSITIONS, 2 * FEATURES + 3)).astype(np.float32)
    rows[:, FEATURES] = rng.integers(0, CHOICES, TRANSITIONS)
    rows[:, -1] = rng.random(TRANSITIONS) < 0.02
    return rows


def _project(layers: tuple[int, ...], updates: int, threads: int = 1) -> Stretch:
    import_keras_quietly()
    from worldmodels_repro.learning.dqn import DQN
    from worldmodels_repro.learning.learner import set_threads
    from worldmodels_repro.learning.replay import Fifo
    from worldmodels_repro.models.network import Network

    set_threads(threads)
    learner = DQN(Network(features=FEATURES, outputs=CHOICES, hidden=layers),
                  Learn(layers=layers), seed=1)
    memory = Fifo(TRANSITIONS, learner.columns.width)
    for number, row in enumerate(_transitions()):
        memory.add(row, number)
    rng = np.random.default_rng(1)

    def stretch(number: int) -> float:
        start = time.perf_counter()
        for _ in range(updates):
            learner.update(memory, 1, rng)
        return updates / (time.perf_counter() - start)

    return stretch


def _plain(layers: tuple[int, ...], updates: int) -> Stretch:
    import_keras_quietly()
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def network() -> keras.Model:
        return keras.Sequential([keras.Input((FEATURES,)), *(
            keras.layers.Dense(units, "relu") for units in layers), keras.layers.Dense(CHOICES)])

    online, target = network(), network()
    optimizer = keras.optimizers.Adam(5e-4)
    optimizer.build(online.trainable_variables)

    @tf.function
    def update(seen, choices, rewards, following, ended):  # type: ignore[no-untyped-def]
        best = tf.argmax(online(following), axis=1)
        value = tf.reduce_sum(target(following) * tf.one_hot(best, CHOICES), axis=1)
        goal = rewards + 0.99 * (1.0 - ended) * value
        with tf.GradientTape() as tape:
            values = tf.reduce_sum(online(seen) * tf.one_hot(choices, CHOICES), axis=1)
            loss = tf.reduce_mean(tf.keras.losses.huber(goal[:, None], values[:, None]))
        gradients = tape.gradient(loss, online.trainable_variables)
        optimizer.apply_gradients(zip(gradients, online.trainable_variables, strict=True))
        return loss

    rows, rng, batch = _transitions(), np.random.default_rng(1), Learn().batch

    def stretch(number: int) -> float:
        start = time.perf_counter()
        for _ in range(updates):
            drawn = rows[rng.integers(0, TRANSITIONS, batch)]
            update(drawn[:, :FEATURES], drawn[:, FEATURES].astype(np.int32),
                   drawn[:, FEATURES + 1], drawn[:, FEATURES + 2:-1], drawn[:, -1])
            for variable in online.trainable_variables:  # for acting in NumPy
                variable.numpy()
        return updates / (time.perf_counter() - start)

    stretch(0)
    return stretch
