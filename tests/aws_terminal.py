"""What the AWS tests share: a server, and a terminal that ``worldmodels aws`` is typed in."""

from __future__ import annotations

import logging
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import boto3.session
import pytest
from aws_servers import Aws, assert_no_secret, extend_moto
from botocore.exceptions import ClientError

from worldmodels_repro.cli import main
from worldmodels_repro.cloud import down, source, stack


class Terminal:
    """``worldmodels aws`` in this process; whatever it prints is searched for secrets.

    Attributes:
        calls: the AWS calls made so far.
        fail_at: the place in ``calls`` of one that fails with ``failure``.
        fresh: whether each command makes its own clients, as it does outside these tests; it
            takes as long as all else.
    """

    _clients: ClassVar[dict[tuple[str, str], Any]] = {}
    _now: Terminal

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch):
        self._capsys = capsys
        self.calls: list[str] = []
        self.fail_at: int | None = None
        self.failure = ("InternalFailure", "broken for a test")
        self.fresh = False
        Terminal._now = self
        kept = self._clients

        class Watched(boto3.session.Session):
            def client(self, service: str, region_name: str, config: Any) -> Any:
                if Terminal._now.fresh or (service, region_name) not in kept:
                    made = super().client(service, region_name=region_name, config=config)
                    made.meta.events.register("before-call", _before)
                    if Terminal._now.fresh:
                        return made
                    kept[service, region_name] = made
                return kept[service, region_name]

        patch.setattr(boto3.session, "Session", Watched)

    def type(self, *words: object) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._capsys.readouterr()
        code = main(["aws", *map(str, words)])
        out, err = self._capsys.readouterr()
        assert_no_secret(out + err)
        return code, out, err

    def done(self, *words: object) -> str:
        """The output of a command that has to succeed."""
        code, out, err = self.type(*words)
        assert code == 0, out + err
        return out

    def refused(self, *words: object) -> str:
        """The one line of a command that has to be refused."""
        code, _, err = self.type(*words)
        assert code == 2
        lines = err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("worldmodels: "), err
        return lines[0]


def _before(model: Any, **_: Any) -> None:
    terminal = Terminal._now
    terminal.calls.append(model.name)
    if terminal.fail_at is not None and len(terminal.calls) - 1 == terminal.fail_at:
        code, message = terminal.failure
        raise ClientError({"Error": {"Code": code, "Message": message}}, model.name)


@pytest.fixture(scope="session")
def aws_server() -> Iterator[Aws]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    aws = Aws()
    extend_moto(aws)
    yield aws
    aws.stop()


@pytest.fixture
def aws(aws_server: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """An empty account."""
    aws_server.reset()
    aws_server.tls_only = False
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in aws_server.environment().items():
        monkeypatch.setenv(name, value)
    return aws_server


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
             repository: Path) -> Iterator[Terminal]:
    for module in (down, stack):
        monkeypatch.setattr(module, "_WAIT", {"Delay": 0, "MaxAttempts": 20})
    before = signal.getsignal(signal.SIGTERM)
    yield Terminal(capsys, monkeypatch)
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small git checkout in place of this one, which may be large or not committed."""
    root = tmp_path / "checkout"
    make_repository(root, lambda: (root / "README.md").write_text("a project\n"))
    monkeypatch.setattr(source, "ROOT", root)
    return root


def make_repository(root: Path, fill: Callable[[], object]) -> None:
    """A git repository with one commit of what ``fill`` puts there."""
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(root), "-c", "user.name=test", "-c",
                        "user.email=test@example.org", *words], check=True, capture_output=True)

    root.mkdir(parents=True)
    git("init")
    fill()
    git("add", "-A")
    git("commit", "-m", "all")
