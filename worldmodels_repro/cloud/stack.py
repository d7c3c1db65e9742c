"""``up``: what stands between stages and costs nothing by the hour (``aws/stack.yaml``)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, WaiterError
from ruamel.yaml import YAML

from worldmodels_repro.cloud.account import Account
from worldmodels_repro.cloud.prices import FOLDER
from worldmodels_repro.errors import UserError
from worldmodels_repro.remote.store import error_code

TEMPLATE = FOLDER / "stack.yaml"
_WAIT = {"Delay": 5, "MaxAttempts": 180}
_GONE = {"ROLLBACK_COMPLETE", "CREATE_FAILED", "DELETE_FAILED", "ROLLBACK_FAILED"}


@dataclass(frozen=True)
class Stack:
    """What the stack made, by name."""

    status: str
    bucket: str
    log_group: str
    machines: dict[str, str]
    """Launch template of each kind of machine: gpu, cores."""
    types: dict[str, str]
    """Instance type that each kind is, unless another is named."""


def up(account: Account, ssh_cidr: str | None, key: str | None) -> str:
    """Make the stack, or bring it to the template's present state.

    Returns:
        What was done: made, updated, unchanged.

    Raises:
        UserError: the address range is not one, or AWS could not make something.
    """
    given = {"SshCidr": check_cidr(ssh_cidr) if ssh_cidr else None, "KeyName": key}
    client = account.client("cloudformation")
    before = find(account)
    if before is not None and before["StackStatus"] in _GONE:
        client.delete_stack(StackName=account.project)
        client.get_waiter("stack_delete_complete").wait(StackName=account.project,
                                                        WaiterConfig=_WAIT)
        before = None
    common: dict[str, Any] = {"StackName": account.project, "TemplateBody": TEMPLATE.read_text(),
                              "Capabilities": ["CAPABILITY_IAM"], "Tags": account.tags()}
    if before is None:
        if not ssh_cidr:
            raise UserError("who may connect by SSH? add --ssh-cidr YOUR_ADDRESS/32 "
                            "(https://checkip.amazonaws.com shows it)")
        given |= {"Project": account.project, "ExistingBucket": kept_bucket(account)}
        made = client.create_stack(**common, Parameters=_parameters(given), OnFailure="DELETE")
        _wait(account, "stack_create_complete", made["StackId"])
        return "made"
    # What is not named stays as it is (so does the bucket, whoever made it), images aside: they
    # are looked up anew.
    values = {each["ParameterKey"]: each["ParameterValue"] for each in before["Parameters"]}
    keep = {name: value for name, value in values.items()
            if given.get(name) is None and not name.endswith("Image")}
    try:
        client.update_stack(**common, Parameters=_parameters(given | keep))
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return "unchanged"
        raise
    _wait(account, "stack_update_complete", before["StackId"])
    return "updated"


def find(account: Account) -> dict[str, Any] | None:
    """The stack as CloudFormation describes it; None where there is none."""
    try:
        answer = account.client("cloudformation").describe_stacks(StackName=account.project)
    except ClientError as error:
        if error_code(error) == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return next((stack for stack in answer["Stacks"]
                 if stack["StackStatus"] != "DELETE_COMPLETE"), None)


def require(account: Account) -> Stack:
    """The stack's names.

    Raises:
        UserError: it is not there, or not finished.
    """
    found = find(account)
    if found is None:
        raise UserError(f"no stack named {account.project} in {account.region}: type worldmodels "
                        f"aws up --region {account.region} --ssh-cidr YOUR_ADDRESS/32")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    try:
        return Stack(found["StackStatus"], outputs["Bucket"], outputs["LogGroup"],
                     {"gpu": outputs["GpuMachine"], "cores": outputs["CoresMachine"]},
                     {"gpu": outputs["GpuInstanceType"], "cores": outputs["CoresInstanceType"]})
    except KeyError:
        raise UserError(f"the stack {account.project} is not whole ({found['StackStatus']}): type "
                        "worldmodels aws up again") from None


def kept_bucket(account: Account) -> str:
    """The bucket that an earlier stack of this project left; empty where there is none."""
    found = account.pages("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList",
                          TagFilters=[{"Key": "project", "Values": [account.project]},
                                      {"Key": "stage", "Values": ["bucket"]}],
                          ResourceTypeFilters=["s3"])
    return next((item["ResourceARN"].rpartition(":")[2] for item in found), "")


def describe() -> list[str]:
    """What the template makes, a line each, for ``--dry-run``."""
    template = read_template()
    lines = []
    for name, resource in template["Resources"].items():
        data = resource.get("Properties", {}).get("LaunchTemplateData")
        what = ""
        if data is not None:
            kind = data["InstanceType"].value
            what = f": {template['Parameters'][kind]['Default']}, started by launch alone"
        lines.append(f"{resource['Type']:30s} {name}{what}")
    return lines


def read_template() -> Any:
    """The template as data; CloudFormation's own tags (!Ref ...) stay tagged values."""
    return YAML(pure=True).load(TEMPLATE.read_text())


def check_cidr(text: str) -> str:
    """An IPv4 address range that is not the whole Internet.

    Raises:
        UserError: it is.
    """
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise UserError(f"--ssh-cidr {text}: {error}; write an address and how much of it counts, "
                        "e.g. 203.0.113.7/32") from None
    if network.prefixlen < 8:
        raise UserError(f"--ssh-cidr {text} opens SSH to the Internet: name your own address, "
                        "e.g. 203.0.113.7/32")
    return text


def _parameters(values: dict[str, str | None]) -> list[dict[str, str]]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()
            if value is not None]


def _wait(account: Account, waiter: str, stack: str) -> None:
    try:
        account.client("cloudformation").get_waiter(waiter).wait(StackName=stack,
                                                                 WaiterConfig=_WAIT)
    except WaiterError:
        reason = _first_failure(account, stack)
        mend = "type aws ec2 create-default-vpc" if "default VPC" in reason else "mend that"
        raise UserError(f"the stack could not be made: {reason}; {mend}, and worldmodels aws up "
                        "again") from None


def _first_failure(account: Account, stack: str) -> str:
    # By its id: a stack that failed and was rolled back has no name any more.
    events = account.pages("cloudformation", "describe_stack_events", "StackEvents",
                           StackName=stack)
    for event in reversed(events):
        reason = event.get("ResourceStatusReason", "")
        if event["ResourceStatus"].endswith("FAILED") and "cancelled" not in reason:
            return f"{event['LogicalResourceId']}: {reason.splitlines()[0][:200]}"
    return "AWS names no reason; see CloudFormation in the console"
