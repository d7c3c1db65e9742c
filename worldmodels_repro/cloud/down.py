"""``down``: nothing that carries the project's tag is left behind, the bucket aside.

Each thing is tried, whatever became of those before it; what could not be removed is named at
the end, and the same command tries again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from worldmodels_repro.cloud import stack
from worldmodels_repro.cloud.account import Account, ignoring, plain_errors
from worldmodels_repro.cloud.inventory import LISTS, Item
from worldmodels_repro.errors import UserError

_WAIT = {"Delay": 5, "MaxAttempts": 180}
_GONE = {"machine": "InvalidInstanceID.NotFound", "volume": "InvalidVolume.NotFound",
         "snapshot": "InvalidSnapshot.NotFound", "image": "InvalidAMIID",
         "address": "InvalidAllocationID.NotFound", "cluster": "ValidationError",
         "spot request": "InvalidSpotInstanceRequestID.NotFound",
         "network interface": "InvalidNetworkInterfaceID.NotFound"}


def down(account: Account, bucket: bool, say: Callable[[str], None]) -> None:
    """Remove everything; ``bucket`` too if asked for.

    Raises:
        UserError: something is left, and what.
    """
    left: list[str] = []

    def attempt(what: str, work: Callable[[], Any]) -> Any:
        try:
            with plain_errors():
                return work()
        except UserError as error:
            say(f"  not removed: {what}: {error}")
            left.append(what)
            return None

    items: list[Item] = []
    for listing in LISTS:
        what = f"the list of {listing.__name__.strip('_').replace('_', ' ')}"
        items += attempt(what, partial(listing, account)) or []
    name = attempt("the search for the bucket", partial(bucket_of, account))
    for item in items:
        say(f"  {item.line()}")
    holders = [item for item in items if item.kind in ("cluster", "spot request", "machine")]
    going = [item for item in holders if attempt(item.name, partial(_remove, account, item))]
    attempt("what is on its way out", partial(_await, account, going))
    # Most disks and network interfaces went with their machines.
    for item in items:
        if item not in holders:
            attempt(item.name, partial(_remove, account, item))
    attempt(f"stack {account.project}", lambda: _remove_stack(account, say))
    if name and bucket:
        attempt(f"bucket {name}", lambda: _remove_bucket(account, name, say))
    elif name:
        say(f"  kept: bucket {name} with all runs (worldmodels aws down --bucket --yes removes it)")
    if left:
        raise UserError(f"{len(left)} left: {', '.join(left)[:300]}: type worldmodels aws down "
                        "again")


def bucket_of(account: Account) -> str:
    """The project's bucket, the stack's or one that a stack left; empty where there is none."""
    found = stack.find(account)
    outputs = {output["OutputKey"]: output["OutputValue"]
               for output in (found or {}).get("Outputs", [])}
    return outputs.get("Bucket") or stack.kept_bucket(account)


def _remove(account: Account, item: Item) -> bool:
    ec2 = account.client("ec2")
    calls: dict[str, Callable[[], Any]] = {
        "cluster": lambda: account.client("cloudformation").delete_stack(StackName=item.name),
        "spot request": lambda: ec2.cancel_spot_instance_requests(
            SpotInstanceRequestIds=[item.name]),
        "machine": lambda: ec2.terminate_instances(InstanceIds=[item.name]),
        "address": lambda: ec2.release_address(AllocationId=item.name),
        "image": lambda: ec2.deregister_image(ImageId=item.name),
        "snapshot": lambda: ec2.delete_snapshot(SnapshotId=item.name),
        "volume": lambda: ec2.delete_volume(VolumeId=item.name),
        "network interface": lambda: ec2.delete_network_interface(NetworkInterfaceId=item.name),
    }
    ignoring(calls[item.kind], _GONE[item.kind])
    return True


def _await(account: Account, items: list[Item]) -> None:
    machines = [item.name for item in items if item.kind == "machine"]
    if machines:
        account.client("ec2").get_waiter("instance_terminated").wait(InstanceIds=machines,
                                                                     WaiterConfig=_WAIT)
    for item in items:
        if item.kind == "cluster":
            account.client("cloudformation").get_waiter("stack_delete_complete").wait(
                StackName=item.name, WaiterConfig=_WAIT)


def _remove_stack(account: Account, say: Callable[[str], None]) -> None:
    if stack.find(account) is None:
        return
    say(f"  stack             {account.project}")
    client = account.client("cloudformation")
    client.delete_stack(StackName=account.project)
    client.get_waiter("stack_delete_complete").wait(StackName=account.project, WaiterConfig=_WAIT)


def _remove_bucket(account: Account, name: str, say: Callable[[str], None]) -> None:
    """Every version of every object, unfinished uploads, and the bucket."""
    s3 = account.client("s3")
    if ignoring(lambda: s3.list_object_versions(Bucket=name, MaxKeys=1), "NoSuchBucket") is None:
        return
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        keys = [{"Key": each["Key"], "VersionId": each["VersionId"]}
                for each in (*page.get("Versions", []), *page.get("DeleteMarkers", []))]
        if keys:
            answer = s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
            for failure in answer.get("Errors", []):
                raise UserError(f"{failure['Key']}: {failure.get('Message', failure.get('Code'))}")
    for upload in account.pages("s3", "list_multipart_uploads", "Uploads", Bucket=name):
        s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    s3.delete_bucket(Bucket=name)
    say(f"  bucket            {name}")
