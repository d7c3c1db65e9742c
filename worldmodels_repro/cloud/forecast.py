"""``costs`` without an account: what a run cost by its own hours, and what one will cost."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from worldmodels_repro.cloud.bill import price_of
from worldmodels_repro.cloud.estimate import DEFAULTS, KINDS, advice, cluster, estimate
from worldmodels_repro.cloud.prices import DISK_GIB, Prices, load_prices
from worldmodels_repro.cloud.rates import GAME, load_rates
from worldmodels_repro.config import Config, load_config
from worldmodels_repro.errors import UserError
from worldmodels_repro.run import stages_of

Words = argparse.Namespace
Lines = Iterator[str]


def costs(words: Words) -> Lines:
    """The price of a run folder, or of a config, in lines."""
    yield from price_of(words.run, load_prices()) if words.run else _forecast(words)


def _forecast(words: Words) -> Lines:
    config, prices = asked_config(words), load_prices()
    yield f"{'stage':10s}{'machine':22s}{'hours':>8s}{'dollars':>10s}  basis"
    total = 0.0
    for stage in stages_of(config):
        if (kind := KINDS.get(stage)) is None:
            continue
        name = words.instance_type if kind == "cores" and words.instance_type else DEFAULTS[kind]
        machine = prices.machine(name)
        guess = estimate(config, stage, machine, load_rates(machine.cpu),
                         words.rate if stage == "learn" else None)
        cost = (guess.hours or 0.0) * prices.hour(name, words.spot, DISK_GIB)
        total += cost
        figures = f"{guess.hours:8.2f}{cost:10.2f}" if guess.hours is not None else f"{'?':>18s}"
        yield f"{stage:10s}{name + (' spot' if words.spot else ''):22s}{figures}  {guess.basis}"
    yield f"{'all':40s}{total:10.2f}"
    if config.game == GAME and config.controller.stage == "evolve":
        yield from _cluster_table(words, config, prices)
    yield f"prices: {prices.caution(words.region)}"


def _cluster_table(words: Words, config: Config, prices: Prices) -> Lines:
    name = words.instance_type or DEFAULTS["cores"]
    rates = load_rates(prices.machine(name).cpu)
    serial = rates.serial if words.serial is None else words.serial
    if serial < 0:
        raise UserError("--serial: name seconds a generation, 0 or more")
    rows = cluster(config, name, prices, rates, serial, words.spot, DISK_GIB)
    yield ""
    yield f"evolve on several {name}, {serial:g} s of each generation serial"
    yield (f"{'machines':>8s}{'cores':>7s}{'s/generation':>14s}{'used':>7s}{'hours':>8s}"
           f"{'dollars':>9s}")
    for row in rows:
        yield (f"{row.nodes:8d}{row.cores:7d}{row.generation:14.2f}{row.used:7.0%}{row.hours:8.2f}"
               f"{row.dollars:9.2f}")
    yield advice(rows, name)


def asked_config(words: Words) -> Config:
    """The settings that the words name.

    Raises:
        UserError: they name none, or wrong ones.
    """
    if words.config is None:
        raise UserError("name a config, e.g. --config quick")
    return load_config(words.config, words.set)
