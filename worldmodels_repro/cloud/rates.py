"""How fast this project was measured to be: read from the committed benchmarks, never typed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from worldmodels_repro import resources
from worldmodels_repro.config import Config
from worldmodels_repro.errors import UserError
from worldmodels_repro.storage import load_json_lines

BENCHMARKS = resources.folder("benchmarks")
GAME = "car_racing"  # what was measured
WHOLE = "epyc-zen4"  # the CPU on which every row was measured


class _Row(TypedDict):
    name: str
    value: float
    baseline: float | None
    details: dict[str, Any]


class _Machine(TypedDict):
    cores: int


class _Measured(TypedDict):
    machine: _Machine


@dataclass(frozen=True)
class Rates:
    """Measured speeds of one physical core of a CPU, unless said otherwise.

    Attributes:
        loop_bf16: steps/s of game, V, M and C, 16 games in lockstep, V and M in bfloat16.
        loop_f32: the same in float32.
        original: steps/s of the unmodified game, nothing else.
        encode_f32: V's frames/s, float32.
        encode_1: seconds of a frame that V encodes alone, in bfloat16 ...
        encode_16: ... and of one among 16.
        vae: frames/s of V's training on ``cores`` cores, by precision.
        memory: sequence steps/s of M's training on ``cores`` cores.
        cores: cores that the training speeds were measured on.
        serial: seconds a generation in which only the first process works.
        learning: steps/s of whole stages that learn C, and what comes before it, as
            :func:`learn_row` and :func:`pretrain_row` name them; on as many cores as they use.
    """

    loop_bf16: float
    loop_f32: float
    original: float
    encode_f32: float
    encode_1: float
    encode_16: float
    vae: dict[str, float]
    memory: float
    cores: int
    serial: float
    learning: dict[str, float] = field(default_factory=dict)

    def loop(self, bf16: bool, original: bool, together: float = 16.0) -> float:
        """Steps/s of one core with ``together`` games in lockstep.

        Below 16 V's encoder works on smaller batches; its measured times at 1 and 16 give the
        line between. With the game's own renderer the loop costs the unmodified game on top.
        """
        seconds = 1.0 / (self.loop_bf16 if bf16 else self.loop_f32)
        batch = min(max(together, 1.0), 16.0)
        each = (16 * self.encode_16 - self.encode_1) / 15  # seconds that one more frame adds
        alone = self.encode_1 - each
        seconds += alone / batch + each - self.encode_16
        return 1.0 / (seconds + (1.0 / self.original if original else 0.0))


def learn_row(config: Config) -> str:
    """The benchmark's row of learners like this one: of its game, algorithm and what C sees."""
    return f"learn_steps.{config.game}.{config.controller.by}.{config.controller.inputs[0]}"


def pretrain_row(network: str) -> str:
    """The benchmark's row of a network that learns before C does."""
    return f"pretrain_steps.{network}"


def load_rates(cpu: str | None = None, folder: Path = BENCHMARKS) -> Rates:
    """Read the benchmarks of a CPU.

    What was not measured on it is taken from the one on which everything was. A CPU that was
    not measured at all (None) is taken to be that one without bfloat16.

    Raises:
        UserError: no such file, or a row is missing.
    """
    file = folder / f"{WHOLE}.jsonl"
    rows: dict[str, _Row] = {}
    for source in (file, folder / f"{cpu or WHOLE}.jsonl"):
        if not source.exists():
            raise UserError(f"aws/prices.yaml names the cpu {cpu}, but {source} is not there: name "
                            "one of " + ", ".join(sorted(path.stem for path in folder.iterdir())))
        rows |= {line["name"]: line for line in load_json_lines(source, _Row)}
    try:
        (machine, *_) = load_json_lines(file, _Measured)
        encoder = rows["encode"]["details"]["runtimes"]
        bf16, f32 = (encoder[f"openvino {kind}"]["frames_per_s"] for kind in ("bf16", "f32"))
        loop = {kind: rows[f"loop.{kind}.gymnasium"] for kind in ("bf16", "f32")}
        return Rates(
            loop_bf16=loop["bf16" if cpu else "f32"]["value"], loop_f32=loop["f32"]["value"],
            original=_number(loop["bf16"]["baseline"]), encode_f32=f32["16"],
            encode_1=1 / bf16["1"], encode_16=1 / bf16["16"],
            vae={"mixed_bfloat16": rows["vae_train.bf16"]["value"],
                 "float32": rows["vae_train.f32"]["value"]},
            memory=rows["memory_train.bf16"]["value"] * 100 * 999,
            cores=machine["machine"]["cores"], serial=rows["serial"]["value"],
            learning={name: row["value"] for name, row in rows.items()
                      if name.startswith(("learn_steps.", "pretrain_steps."))})
    except (KeyError, ValueError) as error:
        raise UserError(f"{file} lacks a row ({error}): type git checkout docs/results") from None


def _number(value: float | None) -> float:
    if value is None:
        raise ValueError("a number")
    return value
