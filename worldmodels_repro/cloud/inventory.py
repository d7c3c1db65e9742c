"""Everything that carries the project's tag, and what of it is forgotten."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worldmodels_repro.cloud.account import Account, tag

DAY = datetime.timedelta(days=1)
_ALIVE = ["pending", "running", "stopping", "stopped"]


@dataclass(frozen=True)
class Item:
    """One thing that is there.

    Attributes:
        kind: machine, spot request, volume, snapshot, image, address, network interface, cluster.
        name: AWS's id.
        facts: what it is, for people.
        run, stage: its tags.
        since: when it was made, where AWS says so.
        forgotten: nothing uses it, or it is a machine older than a day.
    """

    kind: str
    name: str
    facts: str
    run: str = ""
    stage: str = ""
    since: datetime.datetime | None = None
    forgotten: bool = False

    def line(self) -> str:
        """One line of a table."""
        since = f"  since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else ""
        what = " ".join(word for word in (self.run, self.stage) if word not in ("", "none"))
        return f"{self.kind:18s}{self.name:24s}{self.facts}{since}{'  ' + what if what else ''}"


def _machines(account: Account) -> list[Item]:
    found = account.pages("ec2", "describe_instances", "Reservations", Filters=[
        *account.tag_filter(), {"Name": "instance-state-name", "Values": _ALIVE}])
    now, items = datetime.datetime.now(datetime.UTC), []
    for each in (machine for reservation in found for machine in reservation["Instances"]):
        market = "spot" if each.get("InstanceLifecycle") == "spot" else "on demand"
        facts = f"{each['InstanceType']} {market}, {each['State']['Name']}"
        if each.get("PublicDnsName"):
            facts += f", {each['PublicDnsName']}"
        items.append(_item("machine", each, each["InstanceId"], facts, each["LaunchTime"],
                           now - each["LaunchTime"] > DAY))
    return items


def _clusters(account: Account) -> list[Item]:
    """ParallelCluster's own stacks, which hold what a cluster is made of."""
    stacks = account.pages("cloudformation", "describe_stacks", "Stacks")
    return [Item("cluster", each["StackName"], each["StackStatus"], since=each["CreationTime"],
                 forgotten=datetime.datetime.now(datetime.UTC) - each["CreationTime"] > DAY)
            for each in stacks
            if tag(each, "project") == account.project and tag(each, "parallelcluster:cluster-name")
            and each["StackStatus"] != "DELETE_COMPLETE" and "ParentId" not in each]


def _spot_requests(account: Account) -> list[Item]:
    found = account.pages("ec2", "describe_spot_instance_requests", "SpotInstanceRequests",
                          Filters=[*account.tag_filter(),
                                   {"Name": "state", "Values": ["open", "active"]}])
    return [_item("spot request", each, each["SpotInstanceRequestId"], each["State"],
                  each.get("CreateTime")) for each in found]


def _volumes(account: Account) -> list[Item]:
    found = account.pages("ec2", "describe_volumes", "Volumes", Filters=account.tag_filter())
    return [_item("volume", each, each["VolumeId"], f"{each['Size']} GiB, {each['State']}",
                  each["CreateTime"], each["State"] == "available") for each in found]


def _snapshots(account: Account) -> list[Item]:
    found = account.pages("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"],
                          Filters=account.tag_filter())
    return [_item("snapshot", each, each["SnapshotId"], f"{each['VolumeSize']} GiB",
                  each["StartTime"], True) for each in found]


def _images(account: Account) -> list[Item]:
    found = account.client("ec2").describe_images(Owners=["self"], Filters=account.tag_filter())
    return [_item("image", each, each["ImageId"], each.get("Name", ""), None, True)
            for each in found["Images"]]


def _addresses(account: Account) -> list[Item]:
    found = account.client("ec2").describe_addresses(Filters=account.tag_filter())["Addresses"]
    return [_item("address", each, each["AllocationId"],
                  "used" if each.get("AssociationId") else "used by nothing", None,
                  not each.get("AssociationId")) for each in found]


def _interfaces(account: Account) -> list[Item]:
    found = account.pages("ec2", "describe_network_interfaces", "NetworkInterfaces",
                          Filters=account.tag_filter())
    return [_item("network interface", each, each["NetworkInterfaceId"], each["Status"], None,
                  each["Status"] == "available")
            for each in ({**one, "Tags": one.get("TagSet")} for one in found)]


# In an order in which things can be removed.
LISTS: tuple[Callable[[Account], list[Item]], ...] = (
    _clusters, _spot_requests, _machines, _addresses, _images, _snapshots, _volumes, _interfaces)


def inventory(account: Account) -> list[Item]:
    """What is there now."""
    return [item for listing in LISTS for item in listing(account)]


def _item(kind: str, raw: dict[str, Any], name: str, facts: str,
          since: datetime.datetime | None, forgotten: bool = False) -> Item:
    return Item(kind, name, facts, tag(raw, "run"), tag(raw, "stage"), since, forgotten)
