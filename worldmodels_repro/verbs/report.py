"""``worldmodels report``: a run as one page that dreams."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from worldmodels_repro.errors import UserError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare whose page it is, and how it is shown."""
    parser.add_argument("--run", type=Path, metavar="FOLDER", action="append", required=True,
                        help="run folder; again for those that it is compared with")
    parser.add_argument("--open", action="store_true", help="show it in a browser")
    parser.add_argument("--serve", action="store_true",
                        help="offer it to browsers on this machine until Ctrl-C")


def run(run: list[Path], open: bool = False, serve: bool = False) -> None:
    """Write ``report/index.html`` in the first run folder, and show it if asked.

    Raises:
        UserError: a folder holds no run, or there is no browser to open it in.
    """
    from worldmodels_repro.article.page import write_article

    path = write_article(run)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, opens by a double click")
    if serve:
        _serve(path, open)
    elif open:
        _show(path.resolve().as_uri())


def _show(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        raise UserError(f"there is no browser here: open {address} in one")


def _serve(path: Path, open: bool) -> None:
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    handler = partial(SimpleHTTPRequestHandler, directory=str(path.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        print(f"{address}, until Ctrl-C", flush=True)
        if open:
            _show(address)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
