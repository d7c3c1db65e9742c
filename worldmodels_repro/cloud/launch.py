"""``launch``: one machine that does one stage of one run, and then ends itself."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from worldmodels_repro.cloud.account import Account, ignoring, tag
from worldmodels_repro.cloud.estimate import Estimate
from worldmodels_repro.cloud.prices import DISK_GIB, FOLDER, Prices
from worldmodels_repro.cloud.source import Source
from worldmodels_repro.cloud.stack import Stack
from worldmodels_repro.config import Config
from worldmodels_repro.errors import UserError
from worldmodels_repro.pipeline import STAGES

BODY = FOLDER / "user-data.sh"
_ALIVE = ["pending", "running", "stopping", "stopped"]


@dataclass(frozen=True)
class Job:
    """What one machine is for.

    Attributes:
        stage: the stage's verb.
        run: name of the run: ``logs/<run>`` there, ``s3://<bucket>/runs/<run>`` for good.
        kind: gpu, cores or few.
        instance_type: what to rent.
        spot: at the spot price, to be taken back at two minutes' notice.
        max_hours: the machine ends after so many hours, done or not.
        extras: extras of the project to install.
        also: other runs that it starts from.
    """

    stage: str
    run: str
    kind: str
    instance_type: str
    spot: bool
    max_hours: float
    extras: str
    also: list[str]

    @property
    def template(self) -> str:
        """Its launch template: machines of few cores differ from those of many in size alone."""
        return "gpu" if self.kind == "gpu" else "cores"


def longest(guess: Estimate, asked: float | None) -> float:
    """Hours after which a machine ends whatever happens: twice the estimate, or as asked.

    Raises:
        UserError: asked for none at all.
    """
    if asked is not None:
        if not 0 < asked <= 24 * 30:
            raise UserError(f"--max-hours {asked:g}: name hours between 0 and 720")
        return asked
    return 12.0 if guess.hours is None else float(max(2, math.ceil(2 * guess.hours)))


def user_data(job: Job, source: Source, bucket: str, log_group: str, project: str,
              region: str) -> str:
    """The script that the machine runs at its first start."""
    settings = {
        "WM_PROJECT": project, "WM_RUN": job.run, "WM_STAGE": job.stage,
        "WM_SCRIPT": f"scripts/{STAGES[job.stage].script}", "WM_BUCKET": bucket,
        "WM_BUNDLE": source.bundle, "WM_CONFIG": source.config, "WM_LOG_GROUP": log_group,
        "WM_ALSO": " ".join(job.also), "WM_MINUTES": str(math.ceil(job.max_hours * 60)),
        "WM_MACHINE": job.instance_type + (" spot" if job.spot else ""),
        "WORLDMODELS_EXTRAS": job.extras, "AWS_DEFAULT_REGION": region,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    return "\n".join(["#!/usr/bin/env bash", *lines, BODY.read_text()])


def other_runs(config: Config, stage: str) -> list[str]:
    """Runs whose V, M or C the stage starts from, by their names.

    Raises:
        UserError: one is named by a path that no rented machine has.
    """
    if stage == "rollouts":
        key = "agent"
        paths = config.rollouts.agents
    else:
        key, start = "start", getattr(getattr(config, stage, None), "start", None)
        paths = [] if start is None else [start]
    for path in paths:
        if Path(path).parent != Path("logs"):
            raise UserError(f"{stage}.{key}: {path} is a folder of this machine: name a run in the "
                            f"bucket as logs/NAME")
    return [Path(path).name for path in paths]


def check_ready(account: Account, bucket: str, job: Job, config: Config) -> None:
    """See that the bucket has what the stage starts from, before money is spent.

    Raises:
        UserError: a stage before it is not done there, or a run it names is missing.
    """
    s3 = account.client("s3")
    for needed in STAGES[job.stage].reads:
        need, _, file = needed.partition("/")
        if not STAGES[need].belongs(config):
            continue
        found = ignoring(partial(s3.get_object, Bucket=bucket, Key=f"runs/{job.run}/{need}/"
                                 f"{file or 'stage.json'}"), "NoSuchKey")
        if found is None or (not file and json.loads(found["Body"].read()).get("state") != "done"):
            raise UserError(
                f"'{job.stage}' needs '{need}' in the bucket first: type worldmodels aws launch "
                f"--stage {need} --run {job.run} ..., or, with it done here, worldmodels {need} "
                f"--run logs/{job.run} --remote s3://{bucket}/runs/{job.run}")
    for run, need in ((run, need) for run in job.also for need in STAGES[job.stage].starts):
        found = s3.list_objects_v2(Bucket=bucket, Prefix=f"runs/{run}/{need}/stage.json")
        if not found.get("KeyCount"):
            raise UserError(
                f"{job.stage} starts from {run}'s {need}, which the bucket lacks: type worldmodels "
                f"{need} --run logs/{run} --remote s3://{bucket}/runs/{run}")


def request(job: Job, template: str, script: str, tags: list[dict[str, str]]) -> dict[str, Any]:
    """The arguments of ``RunInstances``."""
    kinds = ["instance", "volume", "network-interface"]
    spot: dict[str, Any] = {}
    if job.spot:
        kinds.append("spot-instances-request")
        spot = {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {
            "SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}}}
    named = [*tags, {"Key": "Name", "Value": f"{job.run} {job.stage}"}]
    return {"LaunchTemplate": {"LaunchTemplateId": template, "Version": "$Latest"},
            "InstanceType": job.instance_type, "MinCount": 1, "MaxCount": 1, "UserData": script,
            "TagSpecifications": [{"ResourceType": kind, "Tags": named} for kind in kinds], **spot}


def at_work(account: Account, run: str, stage: str) -> str:
    """The machine that does this stage of the run already; empty where there is none.

    Raises:
        UserError: a machine works on another stage of the run: a run has one writer at a time.
    """
    found = account.pages("ec2", "describe_instances", "Reservations", Filters=[
        *account.tag_filter(), {"Name": "tag:run", "Values": [run]},
        {"Name": "instance-state-name", "Values": _ALIVE}])
    for machine in (machine for item in found for machine in item["Instances"]):
        if tag(machine, "stage") != stage:
            raise UserError(
                f"{machine['InstanceId']} works on {run}'s {tag(machine, 'stage')} already: wait "
                f"for it (worldmodels aws logs --run {run}), or name another --run")
        return str(machine["InstanceId"])
    return ""


def launch(account: Account, stack: Stack, job: Job, script: str) -> str:
    """Start the machine; returns its id."""
    arguments = request(job, stack.machines[job.template], script, account.tags(job.run, job.stage))
    answer = account.client("ec2").run_instances(**arguments)
    return str(answer["Instances"][0]["InstanceId"])


def price_lines(job: Job, guess: Estimate, prices: Prices, region: str | None) -> list[str]:
    """Hours and dollars, in lines."""
    hour = prices.hour(job.instance_type, job.spot, DISK_GIB)
    market = "spot, assumed" if job.spot else "on demand"
    lines = [f"machine: {job.instance_type}, {market}, ${hour:.2f} an hour with its disk",
             f"at most: {job.max_hours:g} h, ${job.max_hours * hour:.2f}; then it ends, "
             "done or not"]
    if guess.hours is None:
        lines.append(f"estimate: none ({guess.basis})")
    else:
        lines.append(f"estimate: {guess.hours:.1f} h, ${guess.hours * hour:.2f} ({guess.basis})")
    return [*lines, f"prices: {prices.caution(region)}"]
