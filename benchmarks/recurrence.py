"""M's step on one core, beside the same equations written plainly."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.bodies import INPUTS, memory_weights
from benchmarks.measure import Contender, Scale, Stretch, take_turns
from benchmarks.plain import Z, lstm_steps
from benchmarks.report import Row, compare
from worldmodels_repro.models.mdn_rnn.cell import Recurrence

CALLS = 2000


def memory_step(scale: Scale) -> list[Row]:
    """Lockstep steps a second, by batch."""
    calls = scale.pick(CALLS, 20)
    rows = []
    for batch in (16, 64):
        rates = take_turns({"ours": Contender(_recurrence, (batch, calls)),
                            "plain": Contender(lstm_steps, (batch, calls))}, scale.rounds)
        rows.append(compare(f"memory_step.{batch}", f"calls/s at batch {batch} on one core",
                            rates["ours"], rates["plain"], "plain NumPy"))
    return rows


def _recurrence(batch: int, calls: int) -> Stretch:
    memory = Recurrence(memory_weights(), batch)
    rng = np.random.default_rng(0)
    z = rng.standard_normal((batch, Z), np.float32)
    action = rng.standard_normal((batch, INPUTS - Z), np.float32)

    def stretch(number: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            memory.step(z, action)
        return calls / (time.perf_counter() - start)

    return stretch
