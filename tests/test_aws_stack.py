"""aws/stack.yaml, deployed to moto's server by ``up`` and read back service by service."""

from __future__ import annotations

import ast
import fnmatch
import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_servers import REGION, Aws

if TYPE_CHECKING:
    from aws_terminal import Terminal

pytest_plugins = ["aws_terminal"]


@pytest.fixture
def outputs(aws: Aws, terminal: Terminal) -> dict[str, str]:
    """What the stack says it made."""
    aws.tls_only = True
    terminal.done("up", "--ssh-cidr", "203.0.113.7/32")
    found = aws.client("cloudformation").describe_stacks(StackName="worldmodels")["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}


def test_the_bucket_is_private_encrypted_versioned_and_tidies_up(aws: Aws,
                                                                 outputs: dict[str, str]) -> None:
    s3, bucket = aws.client("s3"), {"Bucket": outputs["Bucket"]}
    block = s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"]
    assert block == {"BlockPublicAcls": True, "IgnorePublicAcls": True,
                     "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
    rule = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    rules = {each["ID"]: each for each in s3.get_bucket_lifecycle_configuration(**bucket)["Rules"]}
    assert rules["rollouts"]["Filter"]["Tag"] == {"Key": "stage", "Value": "rollouts"}
    assert rules["rollouts"]["Expiration"]["Days"] == 60
    assert rules["unfinished-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 2
    assert rules["old-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7
    assert all(each["Status"] == "Enabled" for each in rules.values())


def test_the_bucket_is_reached_over_tls_alone(aws: Aws, outputs: dict[str, str]) -> None:
    bucket = outputs["Bucket"]
    policy = json.loads(aws.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy["Statement"] == [{
        "Sid": "OnlyOverTls", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]


def _allows(policy: dict[str, Any], action: str, resource: str, **context: str) -> bool:
    """What a policy of Allow statements says, its one kind of condition included."""
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        actions, conditions = statement["Action"], dict(statement.get("Condition", {}))
        patterns = conditions.pop("StringLikeIfExists", {})
        assert not conditions
        held = all(key not in context or any(fnmatch.fnmatchcase(context[key], pattern)
                                             for pattern in values)
                   for key, values in patterns.items())
        if (action in ([actions] if isinstance(actions, str) else actions) and held
                and fnmatch.fnmatchcase(resource, statement["Resource"])):
            return True
    return False


def test_a_machine_reaches_its_runs_and_its_own_logs_alone(aws: Aws,
                                                           outputs: dict[str, str]) -> None:
    iam = aws.client("iam")
    (role,) = iam.list_roles()["Roles"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {
        "Service": "ec2.amazonaws.com"}
    name = {"RoleName": role["RoleName"]}
    assert not iam.list_attached_role_policies(**name)["AttachedPolicies"]
    (policy_name,) = iam.list_role_policies(**name)["PolicyNames"]
    policy = iam.get_role_policy(**name, PolicyName=policy_name)["PolicyDocument"]
    # moto keeps a role's inline policies as Python writes them.
    policy = ast.literal_eval(policy) if isinstance(policy, str) else policy
    bucket = f"arn:aws:s3:::{outputs['Bucket']}"
    group = f"arn:aws:logs:{REGION}:123456789012:log-group:/worldmodels/machines"
    for action in ("s3:GetObject", "s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject"):
        assert _allows(policy, action, f"{bucket}/runs/quick/evolve/strategy.npz")
        assert not _allows(policy, action, f"{bucket}/other/secret")
        assert not _allows(policy, action, "arn:aws:s3:::another-bucket/runs/quick/config.yaml")
    assert _allows(policy, "s3:GetObject", f"{bucket}/source/abc.bundle")
    assert not _allows(policy, "s3:PutObject", f"{bucket}/source/abc.bundle")
    assert _allows(policy, "s3:ListBucket", bucket, **{"s3:prefix": "runs/quick/"})
    assert not _allows(policy, "s3:ListBucket", bucket, **{"s3:prefix": "other/"})
    assert not _allows(policy, "s3:DeleteBucket", bucket)
    assert not _allows(policy, "s3:DeleteObjectVersion", f"{bucket}/runs/quick/config.yaml")
    assert _allows(policy, "logs:PutLogEvents", f"{group}:log-stream:quick/evolve/i-1")
    assert not _allows(policy, "logs:PutLogEvents", f"{group}-else:log-stream:x")
    assert not _allows(policy, "logs:GetLogEvents", f"{group}:log-stream:x")
    assert not _allows(policy, "ec2:TerminateInstances", "*")
    actions = [action for statement in policy["Statement"]
               for action in ([statement["Action"]] if isinstance(statement["Action"], str)
                              else statement["Action"])]
    assert not [action for action in actions if "*" in action]


def test_ssh_from_one_address_and_everything_among_members(aws: Aws,
                                                           outputs: dict[str, str]) -> None:
    group = aws.client("ec2").describe_security_groups(
        GroupIds=[outputs["SecurityGroup"]])["SecurityGroups"][0]
    ssh, among = sorted(group["IpPermissions"], key=lambda rule: rule["IpProtocol"], reverse=True)
    assert (ssh["IpProtocol"], ssh["FromPort"], ssh["ToPort"]) == ("tcp", 22, 22)
    assert [each["CidrIp"] for each in ssh["IpRanges"]] == ["203.0.113.7/32"]
    assert not ssh["UserIdGroupPairs"] and not ssh["Ipv6Ranges"]
    assert among["IpProtocol"] == "-1" and not among["IpRanges"] and not among["Ipv6Ranges"]
    assert [each["GroupId"] for each in among["UserIdGroupPairs"]] == [outputs["SecurityGroup"]]


@pytest.mark.parametrize(("kind", "instance_type"), [("GpuMachine", "g5.2xlarge"),
                                                     ("CoresMachine", "c7a.16xlarge")])
def test_machines_are_hardened_and_leave_no_disk(aws: Aws, outputs: dict[str, str], kind: str,
                                                 instance_type: str) -> None:
    data = aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=outputs[kind])["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert data["InstanceType"] == instance_type
    assert data["ImageId"].startswith("ami-")
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["SecurityGroupIds"] == [outputs["SecurityGroup"]]
    assert "KeyName" not in data and "UserData" not in data
    (disk,) = data["BlockDeviceMappings"]
    assert disk["Ebs"]["VolumeType"] == "gp3"
    assert str(disk["Ebs"]["Encrypted"]).lower() == "true"
    assert str(disk["Ebs"]["DeleteOnTermination"]).lower() == "true"
    for tags in data["TagSpecifications"]:
        assert {each["Key"] for each in tags["Tags"]} == {"project", "run", "stage"}
    assert {tags["ResourceType"] for tags in data["TagSpecifications"]} == {"instance", "volume"}


def test_no_image_account_or_bucket_is_written_down() -> None:
    from worldmodels_repro.cloud.prices import FOLDER

    for file in FOLDER.rglob("*"):
        text = file.read_text()
        assert "ami-0" not in text and "AKIA" not in text, file
        assert not [word for word in text.replace(":", " ").split()
                    if word.isdigit() and len(word) == 12], file
