"""``worldmodels aws`` against moto's server: whole, twice over, and with each call failing."""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from aws_servers import REGION, Aws
from botocore.exceptions import EndpointConnectionError
from conftest import CAR

from worldmodels_repro.cloud import inventory as inventory_module
from worldmodels_repro.cloud.account import plain_errors
from worldmodels_repro.errors import UserError

if TYPE_CHECKING:
    from aws_terminal import Terminal

pytest_plugins = ["aws_terminal"]

UP = ("up", "--ssh-cidr", "203.0.113.7/32")
LAUNCH = ("launch", "--stage", "rollouts", "--config", CAR, "--spot")


def left(aws: Aws) -> list[str]:
    """Everything that an account could be charged for, or find in its way."""
    ec2 = aws.client("ec2")
    things = [machine["InstanceId"] for each in ec2.describe_instances()["Reservations"]
              for machine in each["Instances"] if machine["State"]["Name"] != "terminated"]
    things += [each["VolumeId"] for each in volumes(aws)]
    things += [each["SnapshotId"] for each in
               ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]]
    things += [each["ImageId"] for each in ec2.describe_images(Owners=["self"])["Images"]]
    things += [each["AllocationId"] for each in ec2.describe_addresses()["Addresses"]]
    things += [each["SpotInstanceRequestId"] for each in
               ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
               if each["State"] in ("open", "active")]
    things += [each["LaunchTemplateId"] for each in
               ec2.describe_launch_templates()["LaunchTemplates"]]
    things += [each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]
               if each["GroupName"] != "default"]
    things += [each["RoleName"] for each in aws.client("iam").list_roles()["Roles"]]
    things += [each["logGroupName"] for each in
               aws.client("logs").describe_log_groups()["logGroups"]]
    things += [each["StackName"] for each in
               aws.client("cloudformation").describe_stacks()["Stacks"]]
    return things + [each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]]


def volumes(aws: Aws) -> list[dict[str, Any]]:
    """All disks, but for the second one that moto gives a machine made from a template."""
    return [each for each in aws.client("ec2").describe_volumes()["Volumes"]
            if each["Size"] != 8 or each.get("Tags")]


def bucket(aws: Aws) -> str:
    (only,) = aws.client("s3").list_buckets()["Buckets"]
    return str(only["Name"])


def test_from_nothing_to_nothing_twice(aws: Aws, terminal: Terminal) -> None:
    for again in (False, True):
        assert ": made" in terminal.done(*UP)
        terminal.done("up")
        first = terminal.done(*LAUNCH)
        (machine,) = re.findall(r"tiny: (i-\w+) does rollouts\n", first)
        assert "estimate: 0.2 h" in first and "on demand" not in first
        assert f"{machine} does rollouts already" in terminal.done(*LAUNCH)
        shown = terminal.done("status")
        assert f"{machine}" in shown and "c7a.16xlarge spot, running" in shown
        assert "about $0.0" in shown and "tiny rollouts" in shown
        assert machine in terminal.done("logs", "--run", "tiny")
        assert "nothing is forgotten" in terminal.done("costs")
        kept = bucket(aws)
        assert f"machine           {machine}" in terminal.done("down", "--dry-run")
        assert f"kept: bucket {kept}" in terminal.done("down")
        terminal.done("down")
        assert left(aws) == [kept]
        assert "none" in terminal.done("status")
        if again:
            terminal.done("down", "--bucket", "--yes")
            assert left(aws) == []


def test_a_new_stack_goes_on_with_the_old_ones_bucket(aws: Aws, terminal: Terminal) -> None:
    terminal.done(*UP)
    kept = bucket(aws)
    aws.client("s3").put_object(Bucket=kept, Key="runs/quick/config.yaml", Body=b"seed: 1")
    terminal.done("down")
    assert f"s3://{kept}/runs" in terminal.done(*UP)
    assert bucket(aws) == kept
    assert f"s3://{kept}/runs" in terminal.done("up")
    aws.client("s3").delete_object(Bucket=kept, Key="runs/quick/config.yaml")  # a version stays
    assert "--yes" in terminal.refused("down", "--bucket")
    assert bucket(aws) == kept
    terminal.done("down", "--bucket", "--yes")
    assert left(aws) == []


def test_up_again_changes_nothing(aws: Aws, terminal: Terminal) -> None:
    terminal.done(*UP)
    # CloudFormation's answer to an update without a difference; moto finds one in the images.
    terminal.failure = ("ValidationError", "No updates are to be performed.")
    terminal.fail_at = len(terminal.calls) + 1
    assert "stack worldmodels in us-east-1: unchanged" in terminal.done("up")
    assert terminal.calls[-2] == "UpdateStack"


def test_what_a_machine_is_asked_for(aws: Aws, terminal: Terminal) -> None:
    terminal.done(*UP, "--key", "")
    terminal.done(*LAUNCH, "--instance-type", "c7a.48xlarge", "--max-hours", "1.5",
                  "--run", "first", "--set", "seed=7")
    ec2 = aws.client("ec2")
    (machine,) = ec2.describe_instances()["Reservations"][0]["Instances"]
    assert machine["InstanceType"] == "c7a.48xlarge"
    assert machine["InstanceLifecycle"] == "spot"
    tags = {each["Key"]: each["Value"] for each in machine["Tags"]}
    assert tags | {"project": "worldmodels", "run": "first", "stage": "rollouts"} == tags
    (volume,) = volumes(aws)
    assert {each["Key"] for each in volume["Tags"]} >= {"project", "run", "stage"}
    assert volume["Encrypted"] and volume["Size"] == 200
    assert machine["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"]
    keys = [each["Key"] for each in
            aws.client("s3").list_objects_v2(Bucket=bucket(aws))["Contents"]]
    config, bundle = sorted(keys, key=lambda key: key.endswith(".bundle"))
    text = aws.client("s3").get_object(Bucket=bucket(aws), Key=config)["Body"].read().decode()
    assert "seed: 7" in text and re.fullmatch(r"source/[0-9a-f]{40}\.bundle", bundle)
    asked = ec2.describe_instance_attribute(InstanceId=machine["InstanceId"],
                                            Attribute="userData")["UserData"]["Value"]
    script = base64.b64decode(asked).decode()
    assert script.startswith("#!/usr/bin/env bash\n") and len(script) < 16_000
    for line in ("WM_RUN=first", "WM_STAGE=rollouts", "WM_SCRIPT=scripts/01_rollouts.sh",
                 f"WM_BUCKET={bucket(aws)}", f"WM_CONFIG={config}", "WM_MINUTES=90",
                 "WM_MACHINE='c7a.48xlarge spot'", f"AWS_DEFAULT_REGION={REGION}"):
        assert f"export {line}\n" in script


def test_a_stage_waits_for_those_before_it(aws: Aws, terminal: Terminal) -> None:
    terminal.done(*UP)
    evolve = ("launch", "--stage", "evolve", "--config", CAR)
    assert "'evolve' needs 'vae' in the bucket first" in terminal.refused(*evolve)
    aws.client("s3").put_object(Bucket=bucket(aws), Key="runs/tiny/vae/stage.json",
                                Body=json.dumps({"state": "done"}))
    assert "'evolve' needs 'memory' in the bucket first" in terminal.refused(*evolve)
    put = {"Bucket": bucket(aws), "Key": "runs/tiny/memory/stage.json"}
    aws.client("s3").put_object(**put, Body=json.dumps({"state": "running"}))
    assert "'evolve' needs 'memory' in the bucket first" in terminal.refused(*evolve)
    aws.client("s3").put_object(**put, Body=json.dumps({"state": "done"}))
    other = ("--set", "evolve.start=logs/quick")
    assert "starts from quick's vae, which the bucket lacks" in terminal.refused(*evolve, *other)
    assert "logs/NAME" in terminal.refused(*evolve, "--set", "evolve.start=/data/quick")
    for need in ("vae", "memory", "evolve"):
        aws.client("s3").put_object(Bucket=bucket(aws), Key=f"runs/quick/{need}/stage.json")
    assert "does evolve" in terminal.done(*evolve, *other)
    assert "works on tiny's evolve already" in terminal.refused(*LAUNCH)


def test_costs_by_month_and_stage(aws: Aws, terminal: Terminal) -> None:
    def group(stage: str, dollars: str) -> dict[str, Any]:
        return {"Keys": [f"stage${stage}"],
                "Metrics": {"UnblendedCost": {"Amount": dollars, "Unit": "USD"}}}

    pages: list[dict[str, Any]] = [
        {"ResultsByTime": [{"TimePeriod": {"Start": "2026-01-01", "End": "2026-02-01"},
                            "Groups": [group("evolve", "12.5"), group("", "0.25")]}],
         "NextPageToken": "more"},
        {"ResultsByTime": [{"TimePeriod": {"Start": "2026-02-01", "End": "2026-03-01"},
                            "Groups": [group("evolve", "3.5")]}]}]
    requests.post(f"{aws.url}/moto-api/static/ce/cost-and-usage-results",
                  json={"results": pages}, timeout=10)
    lines = [line.split() for line in terminal.done("costs").splitlines()]
    assert lines[1:] == [["stage", "2026-01", "2026-02", "all"],
                         ["evolve", "12.50", "3.50", "16.00"],
                         ["untagged", "0.25", "0.00", "0.25"],
                         ["all", "12.75", "3.50", "16.25"]]


@pytest.fixture
def forgotten(aws: Aws) -> dict[str, str]:
    """What people forget, with the tag; and the same without it, which is not ours."""
    ec2 = aws.client("ec2")
    found: dict[str, str] = {}
    for ours in (True, False):
        def tags(kind: str, ours: bool = ours) -> dict[str, object]:
            return {"TagSpecifications": [{"ResourceType": kind, "Tags": [
                {"Key": "project", "Value": "worldmodels" if ours else "another"}]}]}

        name = "" if ours else "other "
        volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=9, **tags("volume"))
        snapshot = ec2.create_snapshot(VolumeId=volume["VolumeId"], **tags("snapshot"))
        address = ec2.allocate_address(Domain="vpc", **tags("elastic-ip"))
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        interface = ec2.create_network_interface(SubnetId=subnet, **tags("network-interface"))
        found |= {f"{name}volume": volume["VolumeId"], f"{name}snapshot": snapshot["SnapshotId"],
                  f"{name}address": address["AllocationId"], f"{name}network interface":
                  interface["NetworkInterface"]["NetworkInterfaceId"]}
    return found


def test_forgotten_things_come_first_and_go_with_down(aws: Aws, terminal: Terminal,
                                                      forgotten: dict[str, str],
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.done(*UP)
    terminal.done(*LAUNCH)
    monkeypatch.setattr(inventory_module, "DAY", datetime.timedelta(0))
    lines = terminal.done("costs").splitlines()
    assert lines[0] == "forgotten, and costing money:"
    text = "\n".join(lines[1:6])
    for kind, name in forgotten.items():
        assert (name in text) == (not kind.startswith("other")), kind
    assert "machine  " in text
    terminal.done("down", "--bucket", "--yes")
    others = sorted(name for kind, name in forgotten.items()
                    if kind.startswith("other") and "interface" not in kind)
    assert sorted(left(aws)) == others
    interfaces = aws.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    names = [each["NetworkInterfaceId"] for each in interfaces]
    assert forgotten["other network interface"] in names
    assert forgotten["network interface"] not in names


def test_clusters_go_too(aws: Aws, terminal: Terminal) -> None:
    template = json.dumps({"Resources": {"Head": {"Type": "AWS::EC2::SecurityGroup", "Properties": {
        "GroupDescription": "a cluster's"}}}})
    for name, project in (("ours", "worldmodels"), ("theirs", "another")):
        aws.client("cloudformation").create_stack(
            StackName=name, TemplateBody=template, Tags=[
                {"Key": "project", "Value": project},
                {"Key": "parallelcluster:cluster-name", "Value": name}])
    assert "cluster           ours" in terminal.done("status")
    terminal.done("down")
    stacks = aws.client("cloudformation").describe_stacks()["Stacks"]
    assert [each["StackName"] for each in stacks] == ["theirs"]


# --- with each call failing in turn ---

def refused_at_each_call(terminal: Terminal, words: tuple[object, ...], calls: list[str],
                         again: Callable[[], object] = lambda: None) -> None:
    """Type a command once for each of its calls, which then fails; ``again`` comes in between."""
    for place, name in enumerate(calls):
        terminal.calls, terminal.fail_at = [], place
        line = terminal.refused(*words)
        assert terminal.calls[place] == name
        assert "broken for a test" in line or "the stack could not be made" in line, (words, line)
        terminal.fail_at = None
        again()


def calls_of(terminal: Terminal, *words: object) -> list[str]:
    """What a command asks AWS for when all is well."""
    terminal.calls = []
    terminal.done(*words)
    return list(terminal.calls)


@pytest.mark.parametrize(("before", "words"), [((), UP), ((UP,), ("up",)), ((UP,), LAUNCH)])
def test_each_call_failing_is_one_line_and_down_still_cleans_up(
        aws: Aws, terminal: Terminal, before: tuple[tuple[object, ...], ...],
        words: tuple[object, ...]) -> None:
    def afresh() -> None:
        terminal.done("down", "--bucket", "--yes")
        assert left(aws) == []
        for each in before:
            terminal.done(*each)

    afresh()
    calls = calls_of(terminal, *words)
    assert len(calls) > 3
    afresh()
    refused_at_each_call(terminal, words, calls, afresh)


def test_each_call_failing_while_looking_on(aws: Aws, terminal: Terminal) -> None:
    for words in (UP, LAUNCH):
        terminal.done(*words)
    for verb in ("status", "logs", "costs"):
        refused_at_each_call(terminal, (verb,), calls_of(terminal, verb))
    terminal.done("down", "--bucket", "--yes")
    assert left(aws) == []


def test_down_goes_on_past_what_fails_and_finishes_the_next_time(aws: Aws,
                                                                 terminal: Terminal) -> None:
    down = ("down", "--bucket", "--yes")
    terminal.done(*UP)
    terminal.done(*LAUNCH)
    for place, name in enumerate(calls_of(terminal, *down)):
        terminal.done(*UP)
        terminal.done(*LAUNCH)
        terminal.calls, terminal.fail_at = [], place
        line = terminal.refused(*down)
        assert "type worldmodels aws down again" in line, name
        terminal.fail_at = None
        terminal.done(*down)
        assert left(aws) == [], name


# --- what bad input, and a bad day, get ---

@pytest.mark.parametrize(("words", "said"), [
    (("up",), "--ssh-cidr"),
    (("up", "--ssh-cidr", "my house"), "e.g. 203.0.113.7/32"),
    (("up", "--ssh-cidr", "203.0.113.7/24"), "host bits"),
    (("up", "--ssh-cidr", "0.0.0.0/0"), "opens SSH to the Internet"),
    (("up", "--project", "World Models"), "small letters"),
    (("launch", "--stage", "rollouts"), "--config"),
    (("launch", "--stage", "results", "--config", CAR), "--stage results"),
    (("launch", "--stage", "rollouts", "--config", CAR), "no stack named worldmodels"),
    (("launch", "--stage", "rollouts", "--config", CAR, "--run", "logs/x"), "not a path"),
    (("launch", "--dry-run", "--stage", "rollouts", "--config", CAR, "--instance-type", "x9.big"),
     "aws/prices.yaml has no x9.big"),
    (("launch", "--dry-run", "--stage", "rollouts", "--config", CAR, "--max-hours", "-1"),
     "--max-hours"),
    (("logs",), "no stack named worldmodels"),
    (("logs", "--lines", "0"), "--lines"),
    (("costs", "--run", "no/such/run"), "no hours"),
    (("costs", "--estimate", "--config", CAR, "--serial", "-1"), "--serial"),
    (("walk",), "--help"),
])
def test_wrong_words(aws: Aws, terminal: Terminal, words: tuple[object, ...], said: str) -> None:
    assert said in terminal.refused(*words)


def test_no_region_and_no_credentials(aws: Aws, terminal: Terminal,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.fresh = True
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    assert "no AWS credentials" in terminal.refused("status")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "--region us-east-1" in terminal.refused("status")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "no AWS credentials" in terminal.refused("status", "--region", REGION)


@pytest.mark.parametrize(("code", "said"), [
    ("ExpiredToken", "does not take the credentials"),
    ("UnauthorizedOperation", "may not call RunInstances"),
    ("VcpuLimitExceeded", "Service Quotas"),
    ("InsufficientInstanceCapacity", "--instance-type"),
    ("SomethingNew", "worldmodels aws down removes"),
])
def test_what_aws_refuses(code: str, said: str) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(UserError, match=re.escape(said)) as raised, plain_errors():
        raise ClientError({"Error": {"Code": code, "Message": "no\nmore"}}, "RunInstances")
    assert "\n" not in str(raised.value)


def test_a_network_that_is_down() -> None:
    with pytest.raises(UserError, match="check the network"), plain_errors():
        raise EndpointConnectionError(endpoint_url="https://ec2.nowhere.example")


def test_a_stack_that_fails_names_the_reason(aws: Aws, terminal: Terminal,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    from worldmodels_repro.cloud import stack

    monkeypatch.setattr(stack, "_first_failure", lambda *_: "MachineRole: not authorized")
    monkeypatch.setattr(stack, "_WAIT", {"Delay": 0, "MaxAttempts": 1})
    place = 0
    for words in (UP,):
        terminal.done(*words)
        place = terminal.calls.index("DescribeStacks", terminal.calls.index("CreateStack"))
    aws.reset()
    terminal.calls, terminal.fail_at = [], place
    line = terminal.refused(*UP)
    assert "MachineRole: not authorized; mend that, and worldmodels aws up again" in line


# --- without an account ---

def test_dry_runs_ask_nobody(aws: Aws, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.fresh = True
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    up = terminal.done(*UP, "--dry-run")
    for what in ("AWS::S3::Bucket", "AWS::IAM::Role", "GpuMachine: g5.2xlarge",
                 "CoresMachine: c7a.16xlarge", "SSH from 203.0.113.7/32", "nothing by the hour"):
        assert what in up
    launch = terminal.done(*LAUNCH, "--dry-run")
    for what in ('"MarketType": "spot"', "scripts/01_rollouts.sh", "estimate: 0.2 h, $0.25",
                 "200 GiB", "as of"):
        assert what in launch
    for words in (("status",), ("logs",), ("costs",)):
        assert "would ask" in terminal.done(*words, "--dry-run")
    assert terminal.calls == []


def test_seeds_get_a_machine_each(terminal: Terminal) -> None:
    launch = terminal.done(*LAUNCH, "--dry-run", "--seeds", "2-3")
    for seed in (2, 3):
        assert f"WM_RUN=tiny/seed-{seed}" in launch
    assert launch.count("would call RunInstances") == 2 and "2 machines" in launch
    configs = [line for line in launch.splitlines() if "export WM_CONFIG" in line]
    assert len(set(configs)) == 2  # each has settings of its own


def test_a_checkout_that_is_behind_says_so(terminal: Terminal, repository: Path) -> None:
    (repository / "README.md").write_text("another project\n")
    assert "changes to README.md are not in it" in terminal.done(*LAUNCH, "--dry-run")
