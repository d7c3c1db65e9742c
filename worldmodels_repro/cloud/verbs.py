"""One function a verb of ``worldmodels aws``; each yields the lines that are printed."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Iterator
from pathlib import Path

from worldmodels_repro.cloud import stack
from worldmodels_repro.cloud.account import Account
from worldmodels_repro.cloud.costs import charged, forgotten
from worldmodels_repro.cloud.down import bucket_of
from worldmodels_repro.cloud.down import down as remove_all
from worldmodels_repro.cloud.estimate import DEFAULTS, LEARNS, estimate, kind_of
from worldmodels_repro.cloud.forecast import asked_config
from worldmodels_repro.cloud.inventory import inventory
from worldmodels_repro.cloud.launch import (
    Job,
    at_work,
    check_ready,
    longest,
    other_runs,
    price_lines,
    request,
    user_data,
)
from worldmodels_repro.cloud.launch import launch as start
from worldmodels_repro.cloud.observe import logs as read_logs
from worldmodels_repro.cloud.observe import status as read_status
from worldmodels_repro.cloud.prices import DISK_GIB, load_prices
from worldmodels_repro.cloud.rates import load_rates
from worldmodels_repro.cloud.source import Source, describe_source, send_source
from worldmodels_repro.config import Config
from worldmodels_repro.errors import UserError
from worldmodels_repro.experiment import seeds_of

Words = argparse.Namespace
Lines = Iterator[str]
CENT = "each costs $0.01"


def up(words: Words) -> Lines:
    """Make the stack or bring it up to date."""
    if words.dry_run:
        if words.ssh_cidr:
            stack.check_cidr(words.ssh_cidr)
        prices = load_prices()
        yield (f"would make or update the stack {words.project} from aws/stack.yaml, all of it "
               f"tagged project={words.project}:")
        yield from (f"  {line}" for line in stack.describe())
        yield f"  SSH from {words.ssh_cidr or 'nowhere yet: --ssh-cidr is missing'}"
        yield ("costs: nothing by the hour; the bucket "
               f"${prices.bucket_gib_month:g} a GiB and month; {prices.caution(words.region)}")
        return
    account = Account(words.project, words.region)
    done = stack.up(account, words.ssh_cidr, words.key)
    yield f"stack {words.project} in {account.region}: {done}"
    yield f"runs: s3://{stack.require(account).bucket}/runs"


def launch(words: Words) -> Lines:
    """Rent a machine for a stage, or for each seed of an experiment one."""
    config = asked_config(words)
    run = words.run or Path(words.config).stem
    if words.seeds is None:
        yield from _launch(words, config, run)
        return
    seeds = seeds_of(words.seeds)
    for seed in seeds:
        own = Words(**{**vars(words), "set": [*words.set, f"seed={seed}"]})
        yield from _launch(own, asked_config(own), f"{run}/seed-{seed}")
    yield f"{len(seeds)} machines: hours and dollars above are each one's"


def _launch(words: Words, config: Config, run: str) -> Lines:
    kind, prices = kind_of(words.stage), load_prices()
    account = None if words.dry_run else Account(words.project, words.region)
    found = None if account is None else stack.require(account)
    instance = words.instance_type or (DEFAULTS | (found.types if found else {}))[kind]
    machine = prices.machine(instance)
    guess = estimate(config, words.stage, machine, load_rates(machine.cpu), words.rate)
    if guess.hours is None and words.stage in LEARNS and words.max_hours is None:
        raise UserError(f"{guess.basis}, or how long it may take, --max-hours N")
    extras = words.extras if words.extras is not None else "gpu" if kind == "gpu" else ""
    job = Job(words.stage, run, kind, instance, words.spot, longest(guess, words.max_hours), extras,
              other_runs(config, words.stage))
    source = describe_source(config)
    if source.changed:
        yield (f"note: the machine gets commit {source.commit[:12]}; changes to "
               f"{', '.join(source.changed[:5])} are not in it")
    if account is None or found is None:
        yield from _would_launch(words, job, source)
        yield from price_lines(job, guess, prices, words.region)
        return
    region = str(account.region)
    busy = at_work(account, run, words.stage)
    if busy:
        yield f"{run}: {busy} does {words.stage} already"
    else:
        check_ready(account, found.bucket, job, config)
        send_source(account, found.bucket, source)
        script = user_data(job, source, found.bucket, found.log_group, words.project, region)
        yield f"{run}: {start(account, found, job, script)} does {words.stage}"
        yield from price_lines(job, guess, prices, region)
    yield f"watch: worldmodels aws logs --run {run}; worldmodels aws status"


def _would_launch(words: Words, job: Job, source: Source) -> Lines:
    script = user_data(job, source, "BUCKET", f"/{words.project}/machines", words.project,
                       words.region or "REGION")
    tags = [{"Key": key, "Value": value} for key, value in
            {"project": words.project, "run": job.run, "stage": job.stage}.items()]
    yield f"would upload s3://BUCKET/{source.bundle} and s3://BUCKET/{source.config}"
    yield "would call RunInstances with"
    template = f"{job.template} template of the stack"
    yield json.dumps(request(job, template, "(below)", tags), indent=2)
    yield f"with {DISK_GIB} GiB of encrypted disk, and this user data:"
    yield from (f"  {line}" for line in script.splitlines())


def status(words: Words) -> Lines:
    """List what is there."""
    if words.dry_run:
        yield ("would ask CloudFormation and EC2 for what carries the tag "
               f"project={words.project}; free of charge")
        return
    yield from read_status(Account(words.project, words.region), load_prices())


def logs(words: Words) -> Lines:
    """Print a machine's last lines."""
    if words.dry_run:
        yield (f"would ask CloudWatch Logs for the last {words.lines} lines in "
               f"/{words.project}/machines; free of charge")
        return
    yield from read_logs(Account(words.project, words.region), words.run, words.stage, words.lines)


def costs(words: Words) -> Lines:
    """Print what was charged (:mod:`forecast` has what a run cost, and what one will cost)."""
    if words.dry_run:
        yield f"would ask EC2 for what is forgotten, and Cost Explorer for a table ({CENT})"
    else:
        account = Account(words.project, words.region)
        lost = forgotten(account)
        yield "forgotten, and costing money:" if lost else "nothing is forgotten"
        yield from (f"  {line}" for line in lost)
        yield from charged(account, words.months, datetime.datetime.now(datetime.UTC).date())


def down(words: Words) -> Lines:
    """Remove what carries the tag."""
    account = Account(words.project, words.region)
    if words.dry_run:
        bucket = bucket_of(account)
        yield "would remove:"
        yield from (f"  {item.line()}" for item in inventory(account))
        if stack.find(account) is not None:
            yield f"  stack             {account.project}"
        if bucket:
            yield f"would {'remove' if words.bucket else 'keep'} bucket {bucket} with all runs"
        return
    if words.bucket and not words.yes:
        raise UserError("--bucket deletes all runs in the bucket for good: add --yes to do it, or "
                        "leave --bucket out")
    yield f"removing what carries the tag project={account.project} in {account.region}:"
    remove_all(account, words.bucket, print)
    yield "nothing is left"
