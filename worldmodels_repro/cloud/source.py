"""What a machine is given to work with: this checkout's commit and the run's settings, in S3.

The commit travels as a git bundle, so that the machine has a real checkout whose results name
their commit, whether or not it was pushed anywhere.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from worldmodels_repro.cloud.account import Account
from worldmodels_repro.config import Config
from worldmodels_repro.errors import UserError
from worldmodels_repro.resources import PACKAGE

ROOT = PACKAGE.parent


@dataclass(frozen=True)
class Source:
    """Keys in the bucket.

    Attributes:
        commit: its full hash.
        bundle: the checkout, as ``git bundle`` writes it.
        config: the resolved settings.
        text: those settings, as YAML.
        changed: files that differ from the commit, which the machine will not see.
    """

    commit: str
    bundle: str
    config: str
    text: str
    changed: list[str]


def describe_source(config: Config) -> Source:
    """Name what would be sent.

    Raises:
        UserError: this is no git checkout, or a shallow one, which can't be bundled.
    """
    if not (ROOT / ".git").exists():  # around installed packages there may be another project's
        raise UserError("a machine is sent the commit of a git checkout: clone the project, and "
                        "type this with what is installed from the clone")
    commit = _git("rev-parse", "HEAD").strip()
    if _git("rev-parse", "--is-shallow-repository").strip() == "true":
        raise UserError("this checkout is shallow, and a machine is sent a whole one: type "
                        "git fetch --unshallow")
    changed = [line[3:] for line in _git("status", "--porcelain").splitlines()
               if not line.startswith("??")]
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(config.plain(), text)
    digest = hashlib.sha256(text.getvalue().encode()).hexdigest()[:16]
    return Source(commit, f"source/{commit}.bundle", f"source/config-{digest}.yaml",
                  text.getvalue(), changed)


def send_source(account: Account, bucket: str, source: Source) -> None:
    """Upload the bundle and the settings, unless they are there."""
    s3 = account.client("s3")
    there = {item["Key"] for item in account.pages("s3", "list_objects_v2", "Contents",
                                                   Bucket=bucket, Prefix="source/")}
    if source.bundle not in there:
        with tempfile.TemporaryDirectory() as folder:
            bundle = Path(folder) / "source.bundle"
            _git("bundle", "create", "--quiet", str(bundle), "HEAD")
            s3.upload_file(str(bundle), bucket, source.bundle)
    if source.config not in there:
        s3.put_object(Bucket=bucket, Key=source.config, Body=source.text.encode())


def _git(*words: str) -> str:
    try:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True,
                              check=True, timeout=120).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise UserError(f"git {words[0]} failed ({str(said).splitlines()[0]}): a machine is sent "
                        "the commit of a git checkout; run this in one") from None
