"""The user data of ``launch``, run here: two machines in two empty folders finish one run.

Only what a rented machine has around it is replaced: AWS by servers on loopback, ``shutdown`` and
``apt-get`` by scripts that note what they were told, and ``python -m venv`` by one that finds this
environment's packages instead of fetching them again.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from aws_servers import SECRETS, Aws, Metadata, assert_no_secret
from conftest import TINY, command
from conftest import generations as numbers

from worldmodels_repro.cloud import source
from worldmodels_repro.storage import load_npz

if TYPE_CHECKING:
    from aws_terminal import Terminal

pytest_plugins = ["aws_terminal"]

ROOT = Path(__file__).parents[1]
GENERATIONS = 30
SETTINGS = ("--set", f"evolve.generations={GENERATIONS}", "--set", "evolve.evaluate_every=100")
PYTHON = """#!/bin/bash
# python -m venv FOLDER: with the packages that are here, pip among them
set -e
if [ "$1 $2" = "-m venv" ]; then
    "{python}" -m venv --without-pip "$3"
    cd "$3"/lib/python*/site-packages
    printf '%s\\n' {folders} >here.pth
else
    exec "{python}" "$@"
fi
"""
NOTE = '#!/bin/bash\necho "$(basename "$0") $*" >>"$WORLDMODELS_HOME/told"\n'


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This project as it lies here, in a repository with one commit."""
    from aws_terminal import make_repository

    root = tmp_path / "project"

    def fill() -> None:
        for name in ("worldmodels_repro", "scripts", "configs", "aws", "docs/results/benchmarks"):
            shutil.copytree(ROOT / name, root / name,
                            ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("setup.py", "pyproject.toml", "constraints.txt", "README.md", "LICENSE",
                     ".gitignore"):
            shutil.copy(ROOT / name, root / name)

    make_repository(root, fill)
    monkeypatch.setattr(source, "ROOT", root)
    return root


class Machine:
    """A clean folder, a metadata service, and the user data running in it."""

    def __init__(self, home: Path, script: str, aws: Aws):
        home.mkdir()
        self.home, self.metadata = home, Metadata()
        tools = home / "bin"
        tools.mkdir()
        folders = " ".join(repr(path) for path in sys.path if path.endswith("site-packages"))
        for name, text in (("shutdown", NOTE), ("apt-get", NOTE),
                           ("python", PYTHON.format(python=sys.executable, folders=folders))):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        (home / "user-data.sh").write_text(script)
        self._output = (home / "console").open("wb")
        # Its credentials come from the metadata service, as on a machine with a role.
        environment = {"PATH": f"{tools}:/usr/bin:/bin", "WORLDMODELS_HOME": str(home),
                       "WORLDMODELS_PYTHON": str(tools / "python"), "AWS_ENDPOINT_URL": aws.url,
                       "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata.url,
                       "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                       "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(["bash", str(home / "user-data.sh")], env=environment,
                                         cwd=home, stdout=self._output, stderr=subprocess.STDOUT)

    def wait(self) -> int:
        try:
            return self._process.wait(timeout=180)
        finally:
            self._process.kill()
            self.metadata.stop()
            self._output.close()

    def console(self) -> str:
        return (self.home / "console").read_text()

    def told(self) -> list[str]:
        return (self.home / "told").read_text().splitlines()


def user_data(aws: Aws) -> str:
    """The user data of the machine that was rented last."""
    ec2 = aws.client("ec2")
    machines = [each for item in ec2.describe_instances()["Reservations"]
                for each in item["Instances"] if each["State"]["Name"] == "running"]
    value = ec2.describe_instance_attribute(InstanceId=machines[-1]["InstanceId"],
                                            Attribute="userData")["UserData"]["Value"]
    return base64.b64decode(value).decode()


def end_machines(aws: Aws) -> None:
    """What AWS does once a machine has shut itself down."""
    ec2 = aws.client("ec2")
    for item in ec2.describe_instances()["Reservations"]:
        ec2.terminate_instances(InstanceIds=[each["InstanceId"] for each in item["Instances"]])


def download(aws: Aws, bucket: str, target: Path) -> None:
    for item in aws.client("s3").list_objects_v2(Bucket=bucket, Prefix="runs/tiny/")["Contents"]:
        file = target / item["Key"].removeprefix("runs/tiny/")
        file.parent.mkdir(parents=True, exist_ok=True)
        aws.client("s3").download_file(bucket, item["Key"], str(file))


def generations(aws: Aws, bucket: str) -> int:
    found = aws.client("s3").list_objects_v2(Bucket=bucket,
                                             Prefix="runs/tiny/evolve/generations.csv")
    if not found["KeyCount"]:
        return 0
    body = aws.client("s3").get_object(Bucket=bucket, Key=found["Contents"][0]["Key"])["Body"]
    return len(body.read().splitlines()) - 1


@pytest.mark.slow  # two machines are set up
def test_a_spot_machine_is_taken_and_another_goes_on_with_the_same_numbers(
        aws: Aws, terminal: Terminal, checkout: Path, tiny_run: Path, tmp_path: Path) -> None:
    bucket = terminal.done("up", "--ssh-cidr", "203.0.113.7/32").split("s3://")[1].split("/")[0]
    # V and M were made here, and are brought there the way that `launch` names.
    here = shutil.copytree(tiny_run, tmp_path / "here")
    for verb in ("vae", "memory"):
        pushed = command(verb, "--run", here, "--remote", f"s3://{bucket}/runs/tiny")
        assert pushed.returncode == 0, pushed.stderr
    launch = ("launch", "--stage", "evolve", "--config", TINY, *SETTINGS, "--spot")

    terminal.done(*launch)
    first = Machine(tmp_path / "first", user_data(aws), aws)
    deadline = time.monotonic() + 120
    while generations(aws, bucket) < 2 and time.monotonic() < deadline \
            and first._process.poll() is None:
        time.sleep(0.1)
    first.metadata.give_notice()
    assert first.wait() == 130, first.console()
    done = generations(aws, bucket)
    assert 2 <= done < GENERATIONS
    assert first.told()[-1] == "shutdown -h now" and first.metadata.refused == 0
    end_machines(aws)

    terminal.done(*launch)
    second = Machine(tmp_path / "second", user_data(aws), aws)
    assert second.wait() == 0, second.console()
    assert second.told() == [f"shutdown -h +{2 * 60 + 15}", "shutdown -h now"]
    end_machines(aws)

    download(aws, bucket, tmp_path / "logs" / "tiny")
    whole = tmp_path / "logs" / "whole"
    shutil.copytree(tiny_run, whole, ignore=shutil.ignore_patterns("evolve", "evaluate"))
    result = command("evolve", "--config", TINY, "--run", whole, *SETTINGS)
    assert result.returncode == 0, result.stderr
    assert len(numbers(whole)) == GENERATIONS
    assert numbers(tmp_path / "logs" / "tiny") == numbers(whole)
    ours, theirs = (load_npz(run / "evolve" / "agent.npz")["weights"]
                    for run in (tmp_path / "logs" / "tiny", whole))
    np.testing.assert_array_equal(ours, theirs)

    said = terminal.done("logs", "--run", "tiny", "--lines", "200")
    assert "machine: the stage is done" in said
    everything = first.console() + second.console() + said + "".join(
        event["message"] for stream in aws.client("logs").describe_log_streams(
            logGroupName="/worldmodels/machines")["logStreams"]
        for event in aws.client("logs").get_log_events(
            logGroupName="/worldmodels/machines", logStreamName=stream["logStreamName"],
            startFromHead=True)["events"])
    assert "spot notice" in everything and "evolve:" in everything
    assert_no_secret(everything)
    assert not any(value in user_data_text for value in SECRETS.values()
                   for user_data_text in [first.home.joinpath("user-data.sh").read_text()])
    # The run names its price, machine by machine.
    lines = (tmp_path / "logs" / "tiny" / "machines.jsonl").read_text().splitlines()
    assert [json.loads(line)["code"] for line in lines] == [130, 0]
    priced = terminal.done("costs", "--run", tmp_path / "logs" / "tiny")
    assert priced.count("c7a.16xlarge spot") == 2 and "machines rented" in priced


def test_a_machine_that_can_not_do_its_stage_ends_itself(aws: Aws, terminal: Terminal,
                                                         checkout: Path, tmp_path: Path) -> None:
    bucket = terminal.done("up", "--ssh-cidr", "203.0.113.7/32").split("s3://")[1].split("/")[0]
    for name in ("rollouts/held-000000.npz", "vae/stage.json", "memory/stage.json",
                 "evolve/stage.json", ".writer.json", "config.yaml"):
        aws.client("s3").put_object(Bucket=bucket, Key=f"runs/other/{name}", Body=b"{}")
    terminal.done("launch", "--stage", "rollouts", "--config", TINY, "--set",
                  "rollouts.policies={controller: 1}", "--set", "rollouts.agent=[logs/other]")
    script = user_data(aws)
    stuck = Machine(tmp_path / "stuck", script.replace(".bundle", ".missing"), aws)
    assert stuck.wait() == 1
    lost = Machine(tmp_path / "lost", script.replace("01_rollouts.sh", "missing.sh"), aws)
    assert lost.wait() == 127
    for machine in (stuck, lost):
        assert machine.told()[-1] == "shutdown -h now"
        assert_no_secret(machine.console())
    assert "the stage failed with code 127" in terminal.done("logs", "--run", "tiny")
    # What the run starts from was fetched, its episodes and its lease aside.
    other = lost.home / "code" / "logs" / "other"
    fetched = sorted(path.relative_to(other).as_posix() for path in other.rglob("*.*"))
    assert fetched == ["config.yaml", "evolve/stage.json", "memory/stage.json", "vae/stage.json"]
