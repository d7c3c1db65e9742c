"""``costs``: what AWS charged by month and stage, and what is forgotten."""

from __future__ import annotations

import datetime
from collections import defaultdict
from typing import Any

from worldmodels_repro.cloud.account import Account
from worldmodels_repro.cloud.inventory import inventory


def forgotten(account: Account) -> list[str]:
    """What still costs money and is of no use, a line each."""
    return [item.line() for item in inventory(account) if item.forgotten]


def charged(account: Account, months: int, today: datetime.date) -> list[str]:
    """A table of dollars by month and stage, as Cost Explorer has them (a day late)."""
    first = today.replace(day=1)
    for _ in range(months - 1):
        first = (first - datetime.timedelta(days=1)).replace(day=1)
    asked: dict[str, Any] = {
        "TimePeriod": {"Start": first.isoformat(),
                       "End": (today + datetime.timedelta(days=1)).isoformat()},
        "Granularity": "MONTHLY", "Metrics": ["UnblendedCost"],
        "Filter": {"Tags": {"Key": "project", "Values": [account.project]}},
        "GroupBy": [{"Type": "TAG", "Key": "stage"}]}
    table: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    while True:
        answer = account.client("ce").get_cost_and_usage(**asked)
        for period in answer.get("ResultsByTime", []):
            month = period["TimePeriod"]["Start"][:7]
            for group in period.get("Groups", []):
                stage = group["Keys"][0].partition("$")[2] or "untagged"
                table[stage][month] += float(group["Metrics"]["UnblendedCost"]["Amount"])
        if not answer.get("NextPageToken"):
            break
        asked["NextPageToken"] = answer["NextPageToken"]
    if not table:
        return ["Cost Explorer knows no costs with this tag. It lists tags only once they are "
                "activated: Billing > Cost allocation tags > project, run, stage; a day later "
                "they show."]
    return _table(table)


def _table(table: dict[str, dict[str, float]]) -> list[str]:
    months = sorted({month for row in table.values() for month in row})
    lines = [f"{'stage':12s}" + "".join(f"{month:>12s}" for month in months) + f"{'all':>12s}"]
    rows = [*sorted(table.items()),
            ("all", {month: sum(row.get(month, 0) for row in table.values()) for month in months})]
    for stage, row in rows:
        lines.append(f"{stage:12s}" + "".join(f"{row.get(month, 0.0):12.2f}" for month in months)
                     + f"{sum(row.values()):12.2f}")
    return lines
