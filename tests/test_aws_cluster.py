"""The cluster, by ParallelCluster's own schema where that is installed, and its job script."""

from __future__ import annotations

import os
import signal
import string
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from worldmodels_repro.cloud.prices import FOLDER

VALUES = {"WM_REGION": "us-east-1", "WM_SUBNET": "subnet-0123456789abcdef0", "WM_KEY": "mine",
          "WM_SSH_CIDR": "203.0.113.7/32", "WM_BUCKET": "some-bucket"}


def cluster() -> Any:
    text = string.Template((FOLDER / "cluster.yaml").read_text()).substitute(VALUES)
    return YAML(typ="safe", pure=True).load(text)


def test_parallelclusters_own_schema_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = pytest.importorskip("pcluster.schemas.cluster_schema")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    loaded = schema.ClusterSchema(cluster_name="worldmodels").load(cluster())
    (queue,) = loaded.scheduling.queues
    assert queue.compute_resources[0].instance_types == ["c7a.48xlarge"]
    wrong = cluster()
    wrong["Scheduling"]["SlurmQueues"][0]["CapacityTypes"] = "SPOT"
    with pytest.raises(Exception, match="CapacityTypes"):
        schema.ClusterSchema(cluster_name="worldmodels").load(wrong)


def test_it_is_as_careful_as_the_stack() -> None:
    found = cluster()
    assert {each["Key"] for each in found["Tags"]} == {"project", "run", "stage"}
    assert found["Imds"]["ImdsSupport"] == "v2.0"
    assert found["HeadNode"]["Ssh"]["AllowedIps"] == VALUES["WM_SSH_CIDR"]
    (queue,) = found["Scheduling"]["SlurmQueues"]
    assert queue["CapacityType"] == "SPOT" and queue["ComputeResources"][0]["MinCount"] == 0
    for place in (found["HeadNode"], queue):
        (access,) = place["Iam"]["S3Access"]
        assert access["KeyName"] == "runs/*" and access["BucketName"] == VALUES["WM_BUCKET"]
    (shared,) = found["SharedStorage"]
    disk = shared["EbsSettings"]
    assert disk["Encrypted"] and disk["DeletionPolicy"] == "Delete"


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """A checkout and a Slurm job's surroundings, with tools that note what they are told."""
    tools = tmp_path / "bin"
    for folder in (tools, tmp_path / "scripts"):
        folder.mkdir()
    (tmp_path / "scripts" / "setup.sh").write_text("true\n")
    (tools / "scontrol").write_text(
        '#!/bin/bash\nif [ "$1" = show ]; then printf "left\\nright\\n"; '
        'else echo "$*" >>told; fi\n')
    (tools / "mpirun").write_text(
        '#!/bin/bash\necho "$*" >>told\ncp "$4" hosts\ntrap "echo stopped >>told; exit 130" TERM\n'
        'if [ -n "$LONG" ]; then sleep 60 & wait $!; fi\nexit "${CODE:-0}"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    return {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_SUBMIT_DIR": str(tmp_path),
            "SLURM_JOB_NODELIST": "left,right", "SLURM_CPUS_ON_NODE": "96", "LONG": "",
            "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "7", "TMPDIR": str(tmp_path)}


def job(tmp_path: Path, slurm: dict[str, str]) -> subprocess.Popen[bytes]:
    words = ["bash", str(FOLDER / "evolve.sbatch"), "c.yaml", "s3://some-bucket/runs/c"]
    return subprocess.Popen(words, env=slurm, cwd=tmp_path)


def test_the_job_puts_a_worker_on_every_core(tmp_path: Path, slurm: dict[str, str]) -> None:
    assert job(tmp_path, slurm).wait(30) == 0
    words = (tmp_path / "told").read_text().split()
    assert words[:3] == ["-launcher", "ssh", "-f"] and words[4:6] == ["-n", "193"]
    assert words[6:] == ["bash", "scripts/05_evolve.sh", "c.yaml", "--remote",
                         "s3://some-bucket/runs/c"]
    assert (tmp_path / "hosts").read_text().split() == ["left:97", "right:96"]
    assert job(tmp_path, slurm | {"CODE": "2"}).wait(30) == 2


def test_the_job_is_queued_again_when_its_time_is_over(tmp_path: Path,
                                                       slurm: dict[str, str]) -> None:
    process = job(tmp_path, slurm | {"LONG": "yes"})
    while not (tmp_path / "hosts").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert (tmp_path / "told").read_text().splitlines()[1:] == ["stopped", "requeue 7"]
