"""An HTTP proxy in front of an S3 server that does to requests what networks do."""

from __future__ import annotations

import base64
import hashlib
import http.client
import random
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("error", "slow", "cut", "damaged there", "damaged back", "lost answer")
REFUSED = (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>'
           b"<Message>Access Denied</Message></Error>")
BROKEN = (b'<?xml version="1.0"?><Error><Code>InternalError</Code>'
          b"<Message>We encountered an internal error.</Message></Error>")
BAD_DIGEST = (b'<?xml version="1.0"?><Error><Code>BadDigest</Code>'
              b"<Message>The checksum you specified did not match what we received."
              b"</Message></Error>")


class FaultyProxy:
    """Forwards to ``port``; ``choose(method, path)`` names the fault of each request, or None.

    Faults: ``error`` (500), ``slow`` (an answer that takes a second), ``cut`` (the connection
    closes half-way), ``damaged there`` / ``damaged back`` (a byte of the body changes on the way),
    ``lost answer`` (the server does it, the client never hears), ``refused`` (403).

    With ``checks``, a body that does not fit its checksum is refused, as S3 itself does (the
    server behind this proxy does not).
    """

    def __init__(self, port: int, choose: Callable[[str, str], str | None], checks: bool = True):
        self.choose, self.done = choose, Counter[str]()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def log_message(self, *words: object) -> None:
                pass

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = proxy.choose(self.command, self.path)
                if fault == "damaged there" and not body:
                    fault = None
                if fault == "refused":
                    self._answer(403, {}, REFUSED)
                    return
                if fault == "error":
                    proxy.done[fault] += 1
                    self._answer(500, {}, BROKEN)
                    return
                if fault == "damaged there":
                    proxy.done[fault] += 1
                    body = bytes([body[0] ^ 1]) + body[1:]
                if checks and not _fits(body, self.headers):
                    self._answer(400, {}, BAD_DIGEST)
                    return
                server = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                server.request(self.command, self.path, body, dict(self.headers))
                answer = server.getresponse()
                content = answer.read()
                headers = {name: value for name, value in answer.getheaders()
                           if name.lower() not in ("transfer-encoding", "connection",
                                                   "content-length")}
                if self.command == "HEAD":
                    headers["Content-Length"] = answer.getheader("Content-Length") or "0"
                server.close()
                whole_file = self.command == "GET" and "list-type" not in self.path
                if fault == "damaged back" and not (whole_file and content
                                                    and answer.status == 200):
                    fault = None
                if fault is not None and fault != "damaged there":
                    proxy.done[fault] += 1
                if fault == "slow":
                    time.sleep(1.0)
                if fault == "damaged back":
                    content = bytes([content[0] ^ 1]) + content[1:]
                if fault == "lost answer":
                    self._cut()
                    return
                cut = fault == "cut"
                self._answer(answer.status, headers, content, len(content) // 2 if cut else None)
                if cut:
                    self._cut()

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815

            def _answer(self, status: int, headers: dict[str, str], content: bytes,
                        only: int | None = None) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(content)))
                elif "Content-Length" not in headers:
                    self.send_header("Content-Length", "0")
                if "Date" not in headers and "date" not in headers:
                    self.send_header("Date", self.date_time_string())
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content[:only])

            def _cut(self) -> None:
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _fits(body: bytes, headers: Message) -> bool:
    """Whether a body has the checksums that its headers say."""
    sha, crc = headers.get("x-amz-checksum-sha256"), headers.get("x-amz-checksum-crc32")
    if sha is not None and base64.b64decode(sha) != hashlib.sha256(body).digest():
        return False
    return crc is None or base64.b64decode(crc) == zlib.crc32(body).to_bytes(4, "big")


def now_and_then(seed: int, share: float) -> Callable[[str, str], str | None]:
    """Each request meets some fault with this probability; the same ones for the same seed."""
    rng, lock = random.Random(seed), threading.Lock()

    def choose(method: str, path: str) -> str | None:
        with lock:
            return rng.choice(FAULTS) if rng.random() < share else None

    return choose
