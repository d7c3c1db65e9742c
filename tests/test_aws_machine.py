"""What runs on a rented machine: spot notices, hours, logs, and the bill's line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_servers import REGION, Aws, Metadata, assert_no_secret

from worldmodels_repro.cloud import machine

pytest_plugins = ["aws_terminal"]

STAGE = """
import signal, sys, time
def stop(*_):
    print("its last state is in S3", flush=True)
    sys.exit(130)
signal.signal(signal.SIGTERM, {handler})
print("evolve: begins", flush=True)
time.sleep({seconds})
print("evolve: ends", flush=True)
"""


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    service = Metadata()
    yield service
    service.stop()


@pytest.fixture
def settings(aws: Aws, metadata: Metadata,
             monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What ``launch`` writes above the user data, and the bucket and log group it speaks of."""
    monkeypatch.setattr(machine, "SHIP", 0.1)
    aws.client("s3").create_bucket(Bucket="runs")
    aws.client("logs").create_log_group(logGroupName="/worldmodels/machines")
    before = signal.getsignal(signal.SIGTERM)
    yield {"WM_RUN": "tiny", "WM_STAGE": "evolve", "WM_BUCKET": "runs", "WM_MINUTES": "10",
           "WM_LOG_GROUP": "/worldmodels/machines", "WM_MACHINE": "c7a.16xlarge spot",
           "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}
    signal.signal(signal.SIGTERM, before)


def stage(seconds: float, handler: str = "stop") -> list[str]:
    return [sys.executable, "-c", STAGE.format(seconds=seconds, handler=handler)]


def shipped(aws: Aws) -> list[str]:
    """All that lies in CloudWatch."""
    logs, group = aws.client("logs"), {"logGroupName": "/worldmodels/machines"}
    lines = [event["message"] for stream in logs.describe_log_streams(**group)["logStreams"]
             for event in logs.get_log_events(**group, logStreamName=stream["logStreamName"],
                                              startFromHead=True)["events"]]
    assert_no_secret("\n".join(lines))
    return lines


def recorded(aws: Aws) -> list[dict[str, Any]]:
    body = aws.client("s3").get_object(Bucket="runs", Key="runs/tiny/machines.jsonl")["Body"]
    return [json.loads(line) for line in body.read().splitlines()]


def test_a_stage_that_is_done(aws: Aws, settings: dict[str, str], metadata: Metadata) -> None:
    for _ in range(2):
        assert machine.main(stage(0.2), settings) == 0
    assert shipped(aws)[:3] == ["evolve: begins", "evolve: ends", "machine: the stage is done"]
    (stream,) = aws.client("logs").describe_log_streams(
        logGroupName="/worldmodels/machines")["logStreams"]
    assert stream["logStreamName"] == "tiny/evolve/i-0123456789abcdef0"
    first, second = recorded(aws)
    assert first | {"instance_type": "c7a.16xlarge", "spot": True, "stage": "evolve",
                    "code": 0, "region": REGION} == first
    assert second["started"] >= first["started"] and 0 < float(first["hours"]) < 0.01
    assert metadata.refused == 0


def test_a_spot_notice_ends_the_stage_with_its_state_kept(aws: Aws, settings: dict[str, str],
                                                          metadata: Metadata) -> None:
    threading.Timer(0.5, metadata.give_notice).start()
    started = time.monotonic()
    assert machine.main(stage(60), settings) == 130
    assert time.monotonic() - started < 10
    lines = shipped(aws)
    assert lines[1].startswith('machine: spot notice {"action": "terminate"')
    assert lines[2:] == ["its last state is in S3",
                         "machine: the stage stopped, to be gone on with"]
    assert [line["code"] for line in recorded(aws)] == [130]


def test_its_hours_are_over(aws: Aws, settings: dict[str, str]) -> None:
    assert machine.main(stage(60), settings | {"WM_MINUTES": "0.01"}) == 130
    assert "its 0.01 minutes are over" in "\n".join(shipped(aws))


def test_told_to_stop_itself(aws: Aws, settings: dict[str, str]) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "worldmodels_repro.cloud.machine", *stage(60)],
        env=os.environ | settings, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline() == "evolve: begins\n"
    program.terminate()
    assert program.wait(timeout=60) == 130
    assert "this machine is shutting down" in "\n".join(shipped(aws))


def test_a_stage_that_does_not_listen_is_killed_in_time(aws: Aws, settings: dict[str, str],
                                                        monkeypatch: pytest.MonkeyPatch,
                                                        metadata: Metadata) -> None:
    monkeypatch.setattr(machine, "GRACE", 0.5)
    threading.Timer(0.5, metadata.give_notice).start()
    assert machine.main(stage(60, "signal.SIG_IGN"), settings) == -signal.SIGKILL


def test_a_failure_is_named(aws: Aws, settings: dict[str, str]) -> None:
    assert machine.main([sys.executable, "-c", "print('no'); raise SystemExit(2)"], settings) == 2
    assert shipped(aws) == ["no", "machine: the stage failed with code 2"]


def test_nobody_answers_and_the_stage_is_done_all_the_same(
        settings: dict[str, str], monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    alone = settings | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"}
    assert machine.main(stage(0.3), alone) == 0
    said = capsys.readouterr().out
    assert "evolve: ends" in said and "logs wait" in said and "could not be noted" in said


def test_episodes_are_tagged_for_the_lifecycle_rule(aws: Aws, settings: dict[str, str]) -> None:
    s3 = aws.client("s3")
    keys = ["runs/tiny/rollouts/held-000000.npz", "runs/tiny/vae/weights.npz"]
    for key in keys:
        s3.put_object(Bucket="runs", Key=key, Body=b"x")
    assert machine.main(stage(0.1), settings | {"WM_STAGE": "rollouts"}) == 0
    episode, weights = (s3.get_object_tagging(Bucket="runs", Key=key)["TagSet"] for key in keys)
    assert episode == [{"Key": "stage", "Value": "rollouts"}] and weights == []


def test_it_needs_nothing_but_boto3(tmp_path: Path) -> None:
    program = ("import sys, worldmodels_repro.cloud.machine\n"
               "print([name for name in ('numpy', 'pydantic', 'ruamel', 'keras') "
               "if name in sys.modules])\n")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_the_metadata_service_is_asked_with_a_token(metadata: Metadata) -> None:
    service = machine.Metadata(metadata.url)
    assert service.read("instance-id") == "i-0123456789abcdef0"
    assert service.read("spot/instance-action") is None
    service._token = "used up"
    assert service.read("instance-id") is None
    assert service.read("instance-id") == "i-0123456789abcdef0"
    assert machine.Metadata("http://127.0.0.1:9").read("instance-id") is None
