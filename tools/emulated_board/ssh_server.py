"""An ssh server for one user on the loopback interface, whose commands another program starts.

    python -m emulated_board.ssh_server HOME HOST_KEY AUTHORIZED_KEYS [RUNNER...]

It prints its port. As OpenSSH's own server does, it gives each command a session of its own, and
leaves it running when the client goes away; only its streams end. RUNNER is a command that the line
of shell is appended to, ``/bin/sh -c`` by default; its folder and home are HOME. There, too, are
the lock of the board and the governors of its cores, and programs in ``bin`` come before others.
RUNNER must become the shell in the same process, and all commands must see the same process
numbers: a link kills what it started by its process group.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from dataclasses import dataclass

import asyncssh

SHELL = ("/bin/sh", "-c")
PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Shell:
    """Starts each command of a client in the folder ``home``."""

    home: str
    runner: Sequence[str]

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        child = await asyncio.create_subprocess_exec(
            *self.runner,
            process.command or "",
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=self.home,
            env={
                "HOME": self.home,
                "PATH": os.pathsep.join((f"{self.home}/bin", os.environ["PATH"])),
                "LANG": "C.UTF-8",
                # Of this board, not of this machine.
                "TINYML_LOCK": f"{self.home}/tinyml.lock",
                "TINYML_CPUS": f"{self.home}/cpus",
            },
            start_new_session=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        to_child = asyncio.create_task(_feed(process.stdin, child.stdin))
        await asyncio.gather(
            _drain(child.stdout, process.stdout), _drain(child.stderr, process.stderr)
        )
        code = await child.wait()
        to_child.cancel()
        if code < 0:
            process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
        else:
            process.exit(code)


async def _feed(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while piece := await source.read(PIECE):
            target.write(piece)
            await target.drain()
    target.close()


async def _drain(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    """Everything that the child writes, or until the client goes away."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while piece := await source.read(PIECE):
            target.write(piece)
            await target.drain()


async def main(home: str, host_key: str, keys: str, *runner: str) -> None:
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=keys,
        process_factory=Shell(home, runner or SHELL).serve,
        encoding=None,
    )
    print(server.get_port(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
