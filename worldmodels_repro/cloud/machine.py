"""On the machine itself: run a stage, ship what it says, and end it in time.

The stage is told to stop (SIGTERM) when AWS announces that it takes a spot machine back, when the
machine's hours are over, or when this process is told so itself; it then has until
:data:`GRACE` seconds later to bring its last state to S3. Needs nothing but boto3 and the settings
that ``launch`` writes above the user data, so that it runs before the project is installed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from worldmodels_repro.cloud import RECORD

GRACE = 90.0  # seconds from SIGTERM to SIGKILL; a spot notice comes 120 s before the end
SHIP = 1.0  # seconds between looks at the metadata, and between uploads of lines
_BATCH = 1000  # lines in one upload (at most 10,000 and 1 MiB)
_LINE = 1000  # characters of a line that are kept


class Metadata:
    """The instance metadata service, version 2."""

    def __init__(self, endpoint: str):
        self._endpoint, self._token = endpoint.rstrip("/"), ""

    def read(self, path: str) -> str | None:
        """A value; None where there is none, or nobody answers."""
        try:
            if not self._token:
                self._token = self._ask("api/token", "PUT",
                                        {"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
            return self._ask(f"meta-data/{path}", "GET", {"X-aws-ec2-metadata-token": self._token})
        except urllib.error.HTTPError as error:
            if error.code == 401:  # the token is used up: a new one at the next look
                self._token = ""
            return None
        except OSError:
            return None

    def _ask(self, path: str, method: str, headers: dict[str, str]) -> str:
        asked = urllib.request.Request(f"{self._endpoint}/latest/{path}", method=method,
                                       headers=headers)
        with urllib.request.urlopen(asked, timeout=2) as answer:
            return str(answer.read().decode())


class Shipper:
    """Lines on their way to a log stream; never in the way of the stage."""

    def __init__(self, group: str, stream: str):
        self._logs = boto3.client("logs")
        self._group, self._stream = group, stream
        self._lines: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self._waiting: list[dict[str, Any]] = []
        self._open = False

    def say(self, line: str) -> None:
        """Print a line, and have it shipped."""
        print(line, flush=True)
        if line:
            self._lines.put((int(time.time() * 1000), line[:_LINE]))

    def ship(self) -> None:
        """Upload what has gathered; what fails is tried again at the next call."""
        while not self._lines.empty():
            when, line = self._lines.get()
            self._waiting.append({"timestamp": when, "message": line})
        try:
            if not self._open:
                with suppress(self._logs.exceptions.ResourceAlreadyExistsException):
                    self._logs.create_log_stream(logGroupName=self._group,
                                                 logStreamName=self._stream)
                self._open = True
            while self._waiting:
                self._logs.put_log_events(logGroupName=self._group, logStreamName=self._stream,
                                          logEvents=self._waiting[:_BATCH])
                del self._waiting[:_BATCH]
        except (BotoCoreError, ClientError) as error:
            print(f"machine: logs wait ({type(error).__name__})", flush=True)


class Stage:
    """The command, its output line by line, and its end."""

    def __init__(self, command: Sequence[str], shipper: Shipper):
        self._shipper = shipper
        self.told = 0.0
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, errors="replace")
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def stop(self, why: str) -> None:
        """Tell it to end, once; later calls only watch that it does."""
        now = time.monotonic()
        if not self.told:
            self.told = now
            self._shipper.say(f"machine: {why}: the stage is told to stop")
            self.process.terminate()
        elif now - self.told > GRACE:
            self.process.kill()

    def wait(self, seconds: float) -> int | None:
        """Its exit code, when it ends within so many seconds."""
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        # Workers that outlive it may keep the pipe open; what it said itself is read by then.
        self._reader.join(timeout=5)
        return code

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self._shipper.say(line.rstrip("\n"))


def main(command: Sequence[str], settings: Mapping[str, str] = os.environ) -> int:
    """Run the stage to its end, whatever ends it; returns its exit code."""
    started = time.time()
    metadata = Metadata(settings.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
                        or "http://169.254.169.254")
    machine = metadata.read("instance-id") or "unknown"
    shipper = Shipper(settings["WM_LOG_GROUP"],
                      f"{settings['WM_RUN']}/{settings['WM_STAGE']}/{machine}")
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: told.set())
    stage = Stage(command, shipper)
    while (code := stage.wait(SHIP)) is None:
        why = _reason_to_stop(metadata, started, settings, told)
        if why:
            stage.stop(why)
        shipper.ship()
    said = ("is done" if code == 0 else "stopped, to be gone on with" if code == 130 or stage.told
            else f"failed with code {code}")
    shipper.say(f"machine: the stage {said}")
    if code == 0 and settings["WM_STAGE"] == "rollouts":
        _let_rollouts_expire(settings, shipper)
    _record(machine, started, code, settings, shipper)
    shipper.ship()
    return code


def _reason_to_stop(metadata: Metadata, started: float, settings: Mapping[str, str],
                    told: threading.Event) -> str:
    if told.is_set():
        return "this machine is shutting down"
    if time.time() - started > 60 * float(settings["WM_MINUTES"]):
        return f"its {settings['WM_MINUTES']} minutes are over"
    notice = metadata.read("spot/instance-action")
    return f"spot notice {notice}" if notice else ""


def _let_rollouts_expire(settings: Mapping[str, str], shipper: Shipper) -> None:
    """Tag the run's episodes, so that the bucket's lifecycle rule takes them in the end."""
    s3, bucket = boto3.client("s3"), settings["WM_BUCKET"]

    def tag(key: str) -> None:
        s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={
            "TagSet": [{"Key": "stage", "Value": "rollouts"}]})

    try:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=f"runs/{settings['WM_RUN']}/rollouts/")
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(tag, [item["Key"] for page in pages
                                for item in page.get("Contents", [])]))
    except (BotoCoreError, ClientError) as error:
        shipper.say(f"machine: episodes will not expire by themselves ({type(error).__name__})")


def _record(machine: str, started: float, code: int, settings: Mapping[str, str],
            shipper: Shipper) -> None:
    """Add this machine's hours to the run in S3, so that the run can name its price."""
    kind, _, market = settings["WM_MACHINE"].partition(" ")
    line = {"machine": machine, "instance_type": kind, "spot": market == "spot",
            "region": settings["AWS_DEFAULT_REGION"], "stage": settings["WM_STAGE"], "code": code,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "hours": round((time.time() - started) / 3600, 4)}
    where = {"Bucket": settings["WM_BUCKET"], "Key": f"runs/{settings['WM_RUN']}/{RECORD}"}
    try:
        s3 = boto3.client("s3")
        try:
            before = s3.get_object(**where)["Body"].read()
        except s3.exceptions.NoSuchKey:
            before = b""
        s3.put_object(**where, Body=before + json.dumps(line).encode() + b"\n")
    except (BotoCoreError, ClientError) as error:
        shipper.say(f"machine: its hours could not be noted ({type(error).__name__})")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
