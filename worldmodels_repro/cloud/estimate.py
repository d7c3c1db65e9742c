"""Hours and dollars before anything is rented, from measured speeds and the table of prices.

Estimates are "at most" wherever episodes may end early, and wherever a GPU does what was only
measured on two cores. They assume that the second thread of a core adds nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from worldmodels_repro.cloud.prices import Machine, Prices
from worldmodels_repro.cloud.rates import GAME, Rates
from worldmodels_repro.config import Config
from worldmodels_repro.envs.registry import game_named
from worldmodels_repro.errors import UserError
from worldmodels_repro.pipeline import STAGES

KINDS = {stage.name: stage.hardware for stage in STAGES.values() if stage.hardware}
DEFAULTS = {"gpu": "g5.2xlarge", "cores": "c7a.16xlarge"}  # the template's
BOOT_HOURS = 0.15  # a machine's start, five minutes of installing, its end
MOST = 32  # machines in a table
WORTH = 0.8  # a second machine is worth it while so much of its time is used


@dataclass(frozen=True)
class Estimate:
    """A stage on one kind of machine.

    Attributes:
        hours: of one machine, its start and installation included; None where nothing like it
            was measured.
        basis: what the figure rests on.
    """

    hours: float | None
    basis: str


@dataclass(frozen=True)
class Row:
    """Evolution on some machines of one kind.

    Attributes:
        nodes: machines.
        cores: physical cores of all of them.
        generation: seconds of a generation.
        used: share of the cores' time in which they play.
        hours: wall-clock time of the stage.
        dollars: of all machines.
    """

    nodes: int
    cores: int
    generation: float
    used: float
    hours: float
    dollars: float


def estimate(config: Config, stage: str, machine: Machine, rates: Rates) -> Estimate:
    """What one stage of a run takes on a machine."""
    if config.game != GAME:
        return Estimate(None, f"only {GAME} was measured")
    episodes = sum(config.rollouts.policies.values())
    frames = episodes * config.rollouts.max_steps
    if stage == "rollouts":
        original = config.rollouts.renderer == "original"
        rate = rates.original if original else rates.loop_f32
        seconds = frames / (rate * machine.cores)
        basis = f"at most {frames:,} steps at {rate:,.0f} steps/s a core"
    elif stage == "vae":
        frames = min(frames, config.vae.frames_per_epoch or frames) * config.vae.epochs
        rate = rates.vae[config.vae.precision]
        seconds = frames / rate
        basis = (f"at most {frames:,} frames; {rate:,.0f} frames/s measured on {rates.cores} "
                 "cores, a GPU is faster")
    elif stage == "latents":
        seconds = frames / (rates.encode_f32 * machine.cores)
        basis = f"at most {frames:,} frames at {rates.encode_f32:,.0f} frames/s a core"
    elif stage == "memory":
        steps = config.memory.steps * config.memory.batch * config.memory.sequence
        seconds = steps / rates.memory
        basis = (f"{steps:,} sequence steps; {rates.memory:,.0f} steps/s measured on {rates.cores} "
                 "cores, a GPU is faster")
    elif stage == "evaluate":
        steps = (config.evaluate.episodes + config.evaluate.random_episodes) \
            * game_named(config.game).max_steps
        rate = rates.loop(False, original=True)
        seconds = steps / (rate * machine.cores)
        basis = f"at most {steps:,} steps at {rate:,.0f} steps/s a core"
    else:
        row = evolution(config, machine, 1, rates, rates.serial, 0.0)
        seconds = row.hours * 3600
        settings = config.evolve
        steps = config.generation_episodes * settings.max_steps * settings.generations
        basis = (f"at most {steps:,} steps at "
                 f"{_loop(config, rates, 16.0):,.0f} steps/s a core, and "
                 f"{_evaluations(config)} evaluations of the mean")
    return Estimate(seconds / 3600 + BOOT_HOURS, basis)


def evolution(config: Config, machine: Machine, nodes: int, rates: Rates, serial: float,
              hour: float) -> Row:
    """Stage 5 on ``nodes`` machines whose vCPUs each hold one worker.

    A generation is ``serial + ceil(E / workers) * steps / rate``: E episodes are dealt out whole,
    and in the serial part (ask, tell, logs, checkpoint) all but the first process wait.

    Args:
        serial: those seconds of each generation, as measured.
        hour: dollars an hour of one machine.
    """
    settings = config.evolve
    workers = machine.vcpus * nodes
    share = machine.cores / machine.vcpus

    def seconds(episodes: int, steps: int) -> float:
        each = math.ceil(episodes / workers)
        together = float(min(each, settings.slots))
        return each * steps / (_loop(config, rates, together) * share)

    episodes = config.generation_episodes
    playing = seconds(episodes, settings.max_steps)
    generation = serial + playing
    whole = settings.generations * generation + _evaluations(config) * seconds(
        settings.evaluate_rollouts, game_named(config.game).max_steps)
    least = episodes * settings.max_steps / (
        _loop(config, rates, float(settings.slots)) * machine.cores * nodes)
    return Row(nodes, machine.cores * nodes, generation, least / generation, whole / 3600,
               (whole / 3600 + BOOT_HOURS) * nodes * hour)


def cluster(config: Config, name: str, prices: Prices, rates: Rates, serial: float,
            spot: bool = False, disk_gib: int = 0) -> list[Row]:
    """Evolution on 1, 2, 4 ... machines, as far as each worker has an episode to play."""
    machine, hour = prices.machine(name), prices.hour(name, spot, disk_gib)
    episodes = config.generation_episodes
    most = min(MOST, max(1, math.ceil(episodes / machine.vcpus)))
    counts = [2 ** power for power in range(most.bit_length())]
    return [evolution(config, machine, nodes, rates, serial, hour) for nodes in counts]


def advice(rows: list[Row], name: str) -> str:
    """Where one machine ends and a cluster begins, in a line."""
    worth = [row for row in rows if row.used >= WORTH]
    if not worth or worth[-1].nodes == 1:
        return (f"one {name}: with two of them less than {WORTH:.0%} of the cores' time is used; "
                "a cluster only buys wall-clock time")
    return (f"up to {worth[-1].nodes} machines of {name} use {WORTH:.0%} of their time or more; "
            f"one costs least, {worth[-1].nodes} are done in {worth[-1].hours:.1f} h instead of "
            f"{rows[0].hours:.1f}")


def kind_of(stage: str) -> str:
    """Which launch template a stage wants: gpu or cores.

    Raises:
        UserError: a stage that no machine is rented for.
    """
    if stage not in KINDS:
        raise UserError(f"--stage {stage}: rent a machine for one of {', '.join(KINDS)}; "
                        "the other verbs run where you are")
    return KINDS[stage]


def _loop(config: Config, rates: Rates, together: float) -> float:
    return rates.loop(config.evolve.precision == "bf16", config.evolve.renderer == "original",
                      together)


def _evaluations(config: Config) -> int:
    return math.ceil(config.evolve.generations / config.evolve.evaluate_every)
