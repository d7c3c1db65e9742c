"""The mirror in S3, through unmodified boto3 against a real HTTP server that now and then fails."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from conftest import TINY, command, generations, refused
from moto.server import ThreadedMotoServer

from benchmarks.reliability.faulty_proxy import FaultyProxy, now_and_then
from worldmodels_repro.errors import UserError
from worldmodels_repro.pipeline import STAGES, folder_names
from worldmodels_repro.remote import lease
from worldmodels_repro.remote.mirror import Mirror
from worldmodels_repro.remote.store import PART, NoAnswerError, RefusedError, Store
from worldmodels_repro.storage import (
    append_json_line,
    load_json,
    load_npz,
    save_json,
    save_npz,
)

URL = "s3://runs/some/tiny"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The port of an S3 server with nothing between."""
    moto = ThreadedMotoServer(port=0, verbose=False)
    moto.start()
    yield moto.get_host_and_port()[1]
    moto.stop()


@pytest.fixture
def s3(server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """An empty bucket ``runs`` behind a proxy that does nothing until told to."""
    proxy = FaultyProxy(server, lambda method, path: None)
    for name, value in (("AWS_ENDPOINT_URL", proxy.url), ("AWS_ACCESS_KEY_ID", "key"),
                        ("AWS_SECRET_ACCESS_KEY", "not-a-secret"), ("AWS_REGION", "us-east-1"),
                        ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true")):
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server}")
    client.create_bucket(Bucket="runs")
    yield proxy
    proxy.choose = lambda method, path: None
    for item in client.list_objects_v2(Bucket="runs").get("Contents", []):
        client.delete_object(Bucket="runs", Key=item["Key"])
    client.delete_bucket(Bucket="runs")
    proxy.stop()


def _objects() -> dict[str, bytes]:
    client = boto3.client("s3")
    return {item["Key"]: client.get_object(Bucket="runs", Key=item["Key"])["Body"].read()
            for item in client.list_objects_v2(Bucket="runs").get("Contents", [])}


def _files(run: Path) -> dict[str, bytes]:
    """What a run folder holds, hidden files aside."""
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*")
            if path.is_file() and not any(part.startswith(".") for part in
                                          path.relative_to(run).parts)}


# === The store ===


def test_files_come_back_as_they_went(s3: FaultyProxy, tmp_path: Path) -> None:
    store = Store(URL, "me")
    for size in (0, 1, PART - 1, PART, 2 * PART + 7):
        sent, back = tmp_path / "sent", tmp_path / "back"
        sent.write_bytes(os.urandom(size))
        etag = store.push(sent, "folder/file")
        assert store.pull("folder/file", back) == etag == store.list()["folder/file"]
        assert back.read_bytes() == sent.read_bytes()
    assert store.is_mine("folder/file")
    assert not Store(URL, "you").is_mine("folder/file")


def test_a_body_damaged_on_its_way_there_is_noticed_whoever_serves(
        s3: FaultyProxy, server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    careless = FaultyProxy(server, lambda method, path: "damaged there", checks=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", careless.url)
    (tmp_path / "sent").write_bytes(b"12345")
    with pytest.raises(NoAnswerError, match="damaged"):
        Store(URL, "me").push(tmp_path / "sent", "file")
    careless.stop()


def test_a_body_damaged_on_its_way_back_is_asked_for_again(s3: FaultyProxy,
                                                           tmp_path: Path) -> None:
    store = Store(URL, "me")
    (tmp_path / "sent").write_bytes(b"12345")
    store.push(tmp_path / "sent", "file")
    times = iter(["damaged back", "damaged back"])
    s3.choose = lambda method, path: next(times, None)
    store.pull("file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"12345"
    assert s3.done["damaged back"] == 2


def test_an_object_that_was_edited_is_never_taken(s3: FaultyProxy, tmp_path: Path) -> None:
    boto3.client("s3").put_object(Bucket="runs", Key="some/tiny/file", Body=b"edited",
                                  Metadata={"sha256": hashlib.sha256(b"sent").hexdigest()})
    with pytest.raises(UserError, match="damaged"):
        Store(URL, "me").pull("file", tmp_path / "back")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["", "bucket/x", "s3://", "http://bucket/x", "s3:///x",
                                 "s3://b/x?y"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UserError, match=r"s3://bucket/prefix"):
        Store(url, "me")


# === The lease ===


def test_of_two_writers_the_second_is_refused(s3: FaultyProxy) -> None:
    store = Store(URL, "me")
    first = lease.Lease(store, "first")
    with pytest.raises(UserError, match="is being written by"):
        lease.Lease(store, "second")
    lease.Lease(store, "first").renew()  # the same folder goes on at once
    first.give_back()
    lease.Lease(store, "second")


def test_a_writer_that_vanished_is_believed_dead(s3: FaultyProxy,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(URL, "me")
    first = lease.Lease(store, "first")
    monkeypatch.setattr(lease, "LASTS", -1.0)
    lease.Lease(store, "second")
    with pytest.raises(UserError, match="is being written by"):
        first.renew()


def test_a_lost_answer_is_not_someone_else(s3: FaultyProxy) -> None:
    store = Store(URL, "me")
    times = iter([None, "lost answer"])  # the read, then the write
    s3.choose = lambda method, path: next(times, None)
    held = lease.Lease(store, "first")
    times = iter(["lost answer"])
    held.renew()
    assert s3.done["lost answer"] == 2


# === The mirror ===


def _write(run: Path, generation: int) -> None:
    save_npz(run / "evolve" / "strategy.npz", {})
    (run / "evolve" / "strategy.npz").write_bytes(f"state {generation}".encode() * 1000)
    append_json_line(run / "evolve" / "evaluations.jsonl", {"generation": generation})
    save_json(run / "config.yaml", {})


def test_a_mirrored_folder_can_be_pulled_elsewhere(s3: FaultyProxy, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    _write(here, 1)
    mirror = Mirror(here, URL)
    mirror.checkpoint("evolve")
    _write(here, 2)
    mirror.checkpoint("evolve")
    mirror.close()
    other = Mirror(there, URL)
    other.pull(["evolve"])
    assert _files(there) == _files(here)
    other.close()
    assert not any(key.endswith(lease.NAME) for key in _objects())


def test_a_stage_that_runs_share_is_whole_in_s3_and_stays_a_link_here(s3: FaultyProxy,
                                                                      tmp_path: Path) -> None:
    (tmp_path / "seed-1" / "vae").mkdir(parents=True)
    (tmp_path / "seed-1" / "vae" / "weights.npz").write_text("V")
    run = tmp_path / "cell"
    run.mkdir()
    (run / "vae").symlink_to("../seed-1/vae")
    mirror = Mirror(run, URL)
    mirror.checkpoint("vae")
    mirror.close()
    assert "some/tiny/vae/weights.npz" in _objects()
    (tmp_path / "seed-1" / "vae" / "weights.npz").write_text("a newer V")
    shutil.rmtree(run / ".mirror")  # as on a machine that knows nothing of S3's state
    again = Mirror(run, URL)
    again.pull(["vae"])
    again.close()
    assert (run / "vae").is_symlink()
    assert (run / "vae" / "weights.npz").read_text() == "a newer V"


def test_what_a_stage_does_not_read_is_not_pulled(s3: FaultyProxy, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for name in ("rollouts/manifest.jsonl", "rollouts/a.npz", "rollouts/stage.json",
                 "latents/a.npz"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    mirror = Mirror(here, URL)
    mirror.checkpoint("rollouts")
    mirror.checkpoint("latents")
    mirror.close()
    other = Mirror(there, URL)
    other.pull(["rollouts/manifest.jsonl", "latents"])
    other.close()
    assert set(_files(there)) == {"rollouts/manifest.jsonl", "rollouts/stage.json",
                                  "latents/a.npz"}


def test_a_folder_that_an_earlier_version_named_is_pulled_and_gone_on_with(
        s3: FaultyProxy, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for name in ("evaluation/stage.json", "evaluation/evaluation.json", "config.yaml", "run.log"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    mirror = Mirror(here, URL)
    mirror.checkpoint("evaluation")
    mirror.close()
    other = Mirror(there, URL)
    other.pull(folder_names(("evaluate",)))
    other.close()
    # run.log is of the machine alone.
    assert set(_files(there)) == {"evaluation/stage.json", "evaluation/evaluation.json",
                                  "config.yaml"}
    assert STAGES["evaluate"].folder(there) == there / "evaluation"


def test_a_folder_that_is_further_than_s3_stays(s3: FaultyProxy, tmp_path: Path) -> None:
    _write(tmp_path, 1)
    mirror = Mirror(tmp_path, URL)
    mirror.checkpoint("evolve")
    mirror.close()
    agreed = tmp_path / ".mirror" / "agreed.json"
    save_json(agreed, load_json(agreed, dict) | {"files": {}})  # as if killed before it was said
    _write(tmp_path, 2)
    again = Mirror(tmp_path, URL)
    again.pull(["evolve"])
    assert b"state 2" in (tmp_path / "evolve" / "strategy.npz").read_bytes()
    again.checkpoint("evolve")
    again.close()
    assert b"state 2" in _objects()["some/tiny/evolve/strategy.npz"]


def test_a_folder_that_s3_is_further_than_catches_up(s3: FaultyProxy, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for run, generation in ((here, 1), (there, 2)):
        if run is there:
            mirror = Mirror(there, URL)
            mirror.pull(["evolve"])
        else:
            mirror = Mirror(here, URL)
        _write(run, generation)
        mirror.checkpoint("evolve")
        mirror.close()
    _write(here, 7)  # further on its own, but not what the others went on from
    mirror = Mirror(here, URL)
    mirror.pull(["evolve"])
    mirror.close()
    assert _files(here) == _files(there)


def test_s3_away_for_a_while(s3: FaultyProxy, tmp_path: Path,
                             capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path, 1)
    mirror = Mirror(tmp_path, URL)
    s3.choose = lambda method, path: "error"
    mirror.checkpoint("evolve")
    until = time.monotonic() + 60
    while mirror._trouble is None and time.monotonic() < until:
        time.sleep(0.1)
    _write(tmp_path, 2)
    mirror.checkpoint("evolve")  # the run goes on
    s3.choose = lambda method, path: None
    mirror.close(60)
    said = capsys.readouterr().err
    assert "the run goes on" in said and "S3 answers again" in said
    assert b"state 2" in _objects()["some/tiny/evolve/strategy.npz"]


def test_keys_that_lead_out_of_the_run_folder_are_left_alone(s3: FaultyProxy,
                                                             tmp_path: Path) -> None:
    client = boto3.client("s3")
    for name in ("../outside", "/absolute", "evolve/../../outside", "evolve/.hidden", "a\\b",
                 "evolve//x", "evolve/"):
        client.put_object(Bucket="runs", Key=f"some/tiny/{name}", Body=b"x")
    run = tmp_path / "run"
    mirror = Mirror(run, URL)
    mirror.pull(["evolve", "..", "a\\b", ""])
    mirror.close()
    assert set(_files(tmp_path)) <= {"run/evolve/x"}


def test_faults_now_and_then_lose_and_double_nothing(s3: FaultyProxy, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    _write(here, 0)
    mirror = Mirror(here, URL)
    s3.choose = now_and_then(seed=3, share=0.3)
    for generation in range(1, 8):
        _write(here, generation)
        (here / "evolve" / f"agent-{generation}.npz").write_bytes(os.urandom(generation << 19))
        mirror.checkpoint("evolve")
        time.sleep(0.3)
    mirror.close(120)
    other = Mirror(there, URL)
    other.pull(["evolve"])
    other.close()
    assert _files(there) == _files(here)
    assert sum(s3.done.values()) > 5


# === The stages ===


def _to_evolve(tiny_run: Path, target: Path) -> Path:
    shutil.copytree(tiny_run, target, ignore=shutil.ignore_patterns(
        "evolve", "evaluate", "figures"))
    return target


@pytest.mark.slow
def test_a_stage_goes_on_on_an_empty_machine(s3: FaultyProxy, tiny_run: Path,
                                             tmp_path: Path) -> None:
    run, first, second = (tmp_path / name for name in ("run", "first", "second"))
    more = ("--config", str(TINY), "--set", "evolve.generations=40", "--set",
            "evolve.evaluate_every=10")
    assert command("evolve", *more, "--run", _to_evolve(tiny_run, run)).returncode == 0
    _to_evolve(tiny_run, first)
    mirror = Mirror(first, URL)
    for stage in ("vae", "memory"):
        mirror.checkpoint(stage)
    mirror.close()
    told_to_end = subprocess.Popen(
        [sys.executable, "-m", "worldmodels_repro.cli", "evolve", *more, "--run", str(first),
         "--remote", URL], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while time.monotonic() < until and len(generations(first)) < 3:
        time.sleep(0.05)
    told_to_end.send_signal(signal.SIGTERM)  # a spot notice
    told = time.monotonic()
    said = told_to_end.communicate(timeout=60)[1]
    assert time.monotonic() - told < 20
    assert (told_to_end.returncode, "Traceback" in said) == (130, False), said
    assert 3 <= len(generations(first)) < 40
    result = command("evolve", *more, "--run", second, "--remote", URL)
    assert result.returncode == 0, result.stderr
    assert "evolve: taken from s3://" in result.stderr
    assert generations(second) == generations(run)
    for name in ("agent.npz", "agents/generation-00040.npz"):
        assert load_npz(second / "evolve" / name)["weights"].tobytes() == \
            load_npz(run / "evolve" / name)["weights"].tobytes()


@pytest.mark.slow  # a run with faults and one without
def test_the_mirrored_numbers_are_those_of_an_unmirrored_run(s3: FaultyProxy, tiny_run: Path,
                                                             tmp_path: Path) -> None:
    run = _to_evolve(tiny_run, tmp_path / "run")
    assert command("evolve", "--config", TINY, "--run", run, "--remote", URL).returncode == 0
    assert generations(run) == generations(tiny_run)
    there = _objects()
    for name, content in _files(run).items():
        if name.startswith("evolve/"):
            assert there[f"some/tiny/{name}"] == content, name
    assert json.loads(there["some/tiny/evolve/stage.json"])["state"] == "done"


@pytest.mark.parametrize(("fault", "says"), [("refused", "refuses access"),
                                             ("error", "can't be reached")])
def test_a_start_that_s3_refuses(s3: FaultyProxy, tmp_path: Path, fault: str, says: str) -> None:
    s3.choose = lambda method, path: fault
    result = command("rollouts", "--config", TINY, "--run", tmp_path / "run", "--remote", URL)
    assert says in refused(result)


def test_no_credentials_and_no_bucket(s3: FaultyProxy, tmp_path: Path,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedError, match="no bucket nowhere"):
        Store("s3://nowhere/x", "me").list()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(RefusedError, match="credentials"):
        Store(URL, "me").list()
