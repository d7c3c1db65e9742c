"""A host's ssh server: runs commands for whoever has the key.  python sshd.py ADDRESS FOLDER"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh

PORT = 2222


async def serve(address: str, folder: Path) -> None:
    await asyncssh.listen(address, PORT, server_host_keys=[str(folder / "host_key")],
                          authorized_client_keys=str(folder / "user_key.pub"),
                          process_factory=run, encoding=None)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def run(session: asyncssh.SSHServerProcess[bytes]) -> None:
    child = await asyncio.create_subprocess_shell(
        session.command or "true", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    await session.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    session.exit(await child.wait())


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2])))
