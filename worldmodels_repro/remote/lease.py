"""Who writes a run in S3: one writer at a time, known by an object that it renews.

Taken and renewed with S3's conditional writes, so that of two who try at once one succeeds. A
writer that ends gives it back; one that vanished is believed dead after :data:`LASTS` seconds,
or at once by a process that goes on in the same run folder.
"""

from __future__ import annotations

import json
import os
import socket

from worldmodels_repro.errors import UserError
from worldmodels_repro.remote.store import Store

NAME = ".writer.json"
LASTS = 120.0  # seconds without a renewal
RENEW = 30.0  # seconds between renewals


class Lease:
    """The right to write below a store's prefix.

    Args:
        store: where.
        writer: a name for the run folder at hand, the same each time a stage goes on in it.

    Raises:
        UserError: another writer has it.
    """

    def __init__(self, store: Store, writer: str):
        self._store, self._writer = store, writer
        self._tag: str | None = None
        found = store.read(NAME)
        if found is not None:
            content, tag, age = found
            if age < LASTS and _writer_of(content) != writer:
                self._refuse(content, age)
            self._tag = tag
        self.renew()

    def renew(self) -> None:
        """Say that this writer is still there.

        Raises:
            UserError: another writer has taken over.
        """
        content = json.dumps({"writer": self._writer, "host": socket.gethostname(),
                              "process": os.getpid()}).encode()
        tag = self._store.write(NAME, content, self._tag)
        if tag is None:
            # Someone else was first, or it was written and only the answer got lost.
            found = self._store.read(NAME)
            if found is None:
                tag = self._store.write(NAME, content, None)
            elif _writer_of(found[0]) == self._writer:
                tag = found[1]
            if tag is None:
                self._refuse(found[0] if found else b"", found[2] if found else 0.0)
        self._tag = tag

    def give_back(self) -> None:
        """Let the next writer have it at once."""
        found = self._store.read(NAME)
        if found is not None and _writer_of(found[0]) == self._writer:
            self._store.remove(NAME)

    def _refuse(self, content: bytes, age: float) -> None:
        host = _field(content, "host") or "another machine"
        raise UserError(f"{self._store.url} is being written by {host} (process "
                        f"{_field(content, 'process')}, last heard of {age:.0f} s ago): stop it "
                        f"there, or wait {max(1.0, LASTS - age):.0f} s if it is gone, and type "
                        "the same command again")


def _writer_of(content: bytes) -> str:
    return _field(content, "writer")


def _field(content: bytes, name: str) -> str:
    try:
        return str(json.loads(content)[name])
    except (ValueError, KeyError, TypeError):
        return ""
