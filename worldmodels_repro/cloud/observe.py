"""``status`` and ``logs``: what is there, and what the machines say."""

from __future__ import annotations

import datetime
from typing import Any

from worldmodels_repro.cloud import stack
from worldmodels_repro.cloud.account import Account, ignoring
from worldmodels_repro.cloud.inventory import inventory
from worldmodels_repro.cloud.prices import Prices
from worldmodels_repro.errors import UserError


def status(account: Account, prices: Prices) -> list[str]:
    """The stack, and everything with the tag, with what machines have cost so far."""
    found = stack.find(account)
    if found is None:
        lines = [f"stack {account.project} in {account.region}: none"]
    else:
        whole = stack.require(account)
        lines = [f"stack {account.project} in {account.region}: {whole.status}",
                 f"runs: s3://{whole.bucket}/runs"]
    items = inventory(account)
    if not items:
        return [*lines, "nothing is rented"]
    now = datetime.datetime.now(datetime.UTC)
    for item in items:
        so_far = ""
        kind = item.facts.split(" ")[0]
        if item.kind == "machine" and item.since and kind in prices.machines:
            hour = prices.hour(kind, " spot," in item.facts)
            so_far = f"  about ${(now - item.since).total_seconds() / 3600 * hour:.2f} so far"
        lines.append(item.line() + so_far)
    return lines


def logs(account: Account, run: str | None, stage: str | None, lines: int) -> list[str]:
    """The last lines of the machine that spoke last.

    Raises:
        UserError: no machine of that run or stage has said anything.
    """
    group = stack.require(account).log_group
    prefix = {"logStreamNamePrefix": f"{run}/{stage or ''}"} if run else {}
    streams = [each for each in account.pages("logs", "describe_log_streams", "logStreams",
                                              logGroupName=group, **prefix)
               if stage is None or f"/{stage}/" in each["logStreamName"]]
    if not streams:
        return _console(account, run, stage)
    last = max(streams, key=lambda each: each.get("lastEventTimestamp", 0))
    events: list[dict[str, Any]] = account.client("logs").get_log_events(
        logGroupName=group, logStreamName=last["logStreamName"], limit=lines,
        startFromHead=False)["events"]
    head = f"--- {last['logStreamName']}"
    return [head, *(f"{_clock(event['timestamp'])} {event['message']}" for event in events)]


def _console(account: Account, run: str | None, stage: str | None) -> list[str]:
    """What a machine's console shows while it has no log stream yet."""
    wanted = [item for item in inventory(account) if item.kind == "machine"
              and run in (None, item.run) and stage in (None, item.stage)]
    if not wanted:
        raise UserError("no machine has said anything" + (f" about {run}" if run else "")
                        + ": worldmodels aws status shows what is there")
    name = wanted[-1].name
    try:
        answer = ignoring(lambda: account.client("ec2").get_console_output(InstanceId=name),
                          "InvalidInstanceID.NotFound")
        said = (answer or {}).get("Output", "")
    except UnicodeDecodeError:
        said = ""
    if not said:
        return [f"--- {name} is starting; look again in a minute"]
    return [f"--- {name}, its console", *said.splitlines()[-50:]]


def _clock(milliseconds: int) -> str:
    return f"{datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC):%H:%M:%S}"
