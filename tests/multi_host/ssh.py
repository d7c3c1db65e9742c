"""What mpirun starts its other hosts with.  python ssh.py FOLDER [-x] HOST COMMAND ..."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh
from sshd import PORT


async def run(folder: Path, host: str, command: str) -> int:
    async with asyncssh.connect(host, PORT, username="mpi", known_hosts=None,
                                client_keys=[str(folder / "user_key")]) as connection:
        done = await connection.run(command, stdin=asyncssh.DEVNULL, stdout=sys.stdout,
                                    stderr=sys.stderr)
        return done.exit_status or 0


if __name__ == "__main__":
    words = [word for word in sys.argv[2:] if word != "-x"]
    sys.exit(asyncio.run(run(Path(sys.argv[1]), words[0], " ".join(words[1:]))))
