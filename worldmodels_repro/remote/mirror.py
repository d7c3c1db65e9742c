"""A run folder mirrored to S3 while a stage works, and pulled from there when one starts.

At each checkpoint the stage's thread takes a snapshot of the files that changed (hard links,
copies of those that are appended to), and a thread of its own uploads them in the order in which
they were written. So what lies in S3 is at any time a state that a power cut could have left
on the disk, which is what every stage goes on from. When S3 can't be reached the run goes on;
snapshots wait and newer ones take their place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from worldmodels_repro import journal
from worldmodels_repro.errors import UserError
from worldmodels_repro.remote.lease import NAME, RENEW, Lease
from worldmodels_repro.remote.store import NoAnswerError, RefusedError, Store
from worldmodels_repro.storage import load_json, save_json

HIDDEN = ".mirror"  # in the run folder
AGREED = f"{HIDDEN}/agreed.json"
PATIENCE = 1800.0  # seconds that a finished stage waits for S3
STARTS = 2  # times a start asks for its lease, over boto3's own retries
NOTICE = 18.0  # seconds for the last push of a stage that was told to end


class Mirror:
    """One run folder and its copy in S3.

    Args:
        run: the run folder; may be missing or empty.
        url: ``s3://bucket/prefix``, which stands for the run folder.

    Raises:
        UserError: S3 refuses, can't be reached at the start, or another writer has the run.
    """

    def __init__(self, run: Path, url: str):
        self._run, self._snapshots = run, run / HIDDEN / "snapshots"
        shutil.rmtree(self._snapshots, ignore_errors=True)
        self._agreed = Agreed(run, url)
        self._store = Store(url, self._agreed.writer)
        self._lease = self._take_lease(url)
        self._pending: dict[str, tuple[Path, Stamp]] = {}  # in the order of writing
        self._seen = dict(self._agreed.stamps)
        self._count = 0
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._closing = False
        self._trouble: str | None = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="mirror")
        self._thread.start()

    def _take_lease(self, url: str) -> Lease:
        for _ in range(STARTS):
            try:
                return Lease(self._store, self._agreed.writer)
            except NoAnswerError as error:
                problem = error
                time.sleep(0.5)
        raise UserError(f"{url} can't be reached ({problem}): check the network and "
                        "AWS_ENDPOINT_URL, and type the same command again")

    def pull(self, folders: Iterable[str]) -> None:
        """Bring these folders (or files) to what S3 has where S3 is ahead.

        Settings and markers of all stages come along. A folder whose files in S3 are those
        that this run folder left there is as far or further here. Any other is replaced by S3's.

        Raises:
            UserError: S3 stopped answering, or an object there is damaged.
        """
        wanted = tuple(folders)
        groups: dict[str, list[str]] = {}
        try:
            etags = {path: etag for path, etag in self._store.list().items() if _is_ours(path)}
            for path in etags:
                folder = PurePosixPath(path).parts[0] if "/" in path else "settings"
                if folder == "settings" or path == f"{folder}/stage.json" \
                        or any(f"{path}/".startswith(f"{name}/") for name in wanted):
                    groups.setdefault(folder, []).append(path)
            for folder, paths in groups.items():
                if (self._run / folder).is_symlink():
                    continue  # another run's, which has a mirror of its own
                if all(self._is_from_here(path, etags[path]) for path in paths):
                    continue
                # stage.json last: a pull that is cut short does not look finished.
                for path in sorted(paths, key=lambda path: path.endswith("stage.json")):
                    here = self._run / path
                    if self._agreed.etags.get(path) != etags[path] \
                            or self._agreed.stamps.get(path) != _stamp(here):
                        etag = self._store.pull(path, here)
                        self._agreed.note(path, etag, _stamp(here))
                _say(f"{folder}: taken from {self._store.url}")
        except NoAnswerError as error:
            raise UserError(f"{self._store.url} stopped answering ({error}): type the same "
                            "command again; what was pulled stays") from None
        finally:
            self._agreed.save()
            self._seen = dict(self._agreed.stamps)

    def _is_from_here(self, path: str, etag: str) -> bool:
        """Whether the object is what this run folder agreed on, or put there before it died."""
        if _stamp(self._run / path) is None:
            return False
        return self._agreed.etags.get(path) == etag or self._store.is_mine(path)

    def checkpoint(self, folder: str) -> None:
        """Have the state of one folder (and the run's own files) uploaded, in the background.

        Raises:
            UserError: another writer has taken over.
        """
        if self._failure is not None:
            raise self._failure
        changed = []
        for path in (*self._run.glob("*"), *(self._run / folder).rglob("*")):
            name, stamp = path.relative_to(self._run).as_posix(), _stamp(path)
            if stamp is not None and _is_ours(name) and self._seen.get(name) != stamp:
                changed.append((stamp, name, path))
        with self._lock:
            for stamp, name, path in sorted(changed):
                self._count += 1
                snapshot = self._snapshots / str(self._count)
                _link_or_copy(path, snapshot)
                if older := self._pending.pop(name, None):
                    older[0].unlink(missing_ok=True)
                self._pending[name] = (snapshot, stamp)
                self._seen[name] = stamp
        self._wake.set()

    def close(self, patience: float = PATIENCE) -> None:
        """Push what is left, give the lease back, stop.

        Raises:
            UserError: S3 could not be reached in time, or another writer has taken over.
        """
        self._closing = True
        self._wake.set()
        self._thread.join(patience)
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            raise UserError(f"{len(self._pending) or 1} files are not in {self._store.url} yet "
                            f"({self._trouble or 'S3 is slow'}): they are safe in {self._run}; "
                            "type the same command again when S3 answers")
        shutil.rmtree(self._snapshots, ignore_errors=True)

    def _work(self) -> None:
        """The thread: renew the lease, push snapshots, wait for more."""
        renewed, down_since, pause = time.monotonic(), 0.0, 1.0
        while True:
            self._wake.wait(pause if self._trouble else RENEW / 2)
            self._wake.clear()
            try:
                while True:
                    if time.monotonic() - renewed > RENEW:
                        self._lease.renew()
                        renewed = time.monotonic()
                    if not self._push_next():
                        break
                if self._trouble is not None:
                    _say(f"S3 answers again after {time.monotonic() - down_since:.0f} s; "
                         "everything is there")
                self._trouble, pause = None, 1.0
                self._agreed.save()
                if self._closing and not self._pending:
                    with contextlib.suppress(RefusedError):  # a right that need not be given
                        self._store.clear_uploads()
                    self._lease.give_back()
                    return
            except (NoAnswerError, RefusedError) as error:
                if self._trouble is None:
                    down_since = time.monotonic()
                    _say(f"{error}; the run goes on, its files wait")
                self._trouble = str(error)
                pause = 1.0 if self._closing else min(2 * pause, 30.0)
                time.sleep(0.5)  # checkpoints wake this thread, S3 need not be asked each time
            except Exception as error:  # another writer, or a bug: the stage's thread says it
                self._failure = error
                return

    def _push_next(self) -> bool:
        """Upload the oldest snapshot; whether there was one."""
        with self._lock:
            path = next(iter(self._pending), None)
            if path is None:
                return False
            # Out of the queue, so that a newer snapshot does not remove it under the upload.
            snapshot, stamp = self._pending.pop(path)
        try:
            etag = self._store.push(snapshot, path)
        except (NoAnswerError, RefusedError):
            with self._lock:
                if path not in self._pending:
                    self._pending = {path: (snapshot, stamp), **self._pending}
                else:
                    snapshot.unlink(missing_ok=True)
            raise
        self._agreed.note(path, etag, stamp)
        snapshot.unlink(missing_ok=True)
        return True


Stamp = tuple[int, int]  # modification time in ns, size in bytes


class Agreed:
    """What a run folder and S3 last agreed on: by path, the entity tag and the file's stamp."""

    def __init__(self, run: Path, url: str):
        self._file, self._url = run / AGREED, url
        self._place = f"{socket.gethostname()}:{run.resolve()}"
        self.writer = uuid.uuid4().hex
        self.etags: dict[str, str] = {}
        self.stamps: dict[str, Stamp] = {}
        self._saved = 0
        # Unreadable, or copied along from elsewhere: as if they never had agreed.
        with contextlib.suppress(UserError, KeyError, TypeError, ValueError, AttributeError):
            record = load_json(self._file, dict)
            if (record["url"], record["place"]) == (url, self._place):
                files = {str(path): (str(etag), (int(time), int(size)))
                         for path, (etag, time, size) in record["files"].items()}
                self.writer = str(record["writer"])
                self.etags = {path: etag for path, (etag, _) in files.items()}
                self.stamps = {path: stamp for path, (_, stamp) in files.items()}

    def note(self, path: str, etag: str, stamp: Stamp | None) -> None:
        """A file here and an object there are the same."""
        if stamp is not None:
            self.etags[path], self.stamps[path] = etag, stamp
            self._saved = 0

    def save(self) -> None:
        """Write it down, if there is anything new."""
        if self._saved == len(self.etags) and self._file.exists():
            return
        save_json(self._file, {
            "url": self._url, "place": self._place, "writer": self.writer,
            "files": {path: [etag, *self.stamps[path]] for path, etag in self.etags.items()}})
        self._saved = len(self.etags)


def _is_ours(path: str) -> bool:
    """Whether a path is one that a run folder holds: below it, nothing hidden on the way."""
    parts = PurePosixPath(path).parts
    return bool(parts) and path not in (NAME, journal.NAME) and "\\" not in path \
        and "\0" not in path and not path.endswith("/") \
        and not any(part.startswith((".", "/")) for part in parts)


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size) if path.is_file() else None


def _link_or_copy(path: Path, snapshot: Path) -> None:
    """Files are replaced whole, so that a link keeps what they held; logs are appended to."""
    snapshot.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".jsonl" and not path.name.startswith("events."):
        with contextlib.suppress(OSError):  # a file system without hard links
            os.link(path, snapshot)
            return
    shutil.copyfile(path, snapshot)


def _say(text: str) -> None:
    print(f"mirror: {text}", file=sys.stderr, flush=True)
