"""The phone's end of adb on the loopback interface, whose commands another program starts.

    python -m emulated_board.fake_adbd HOME [RUNNER...]

It prints its port; ``adb connect 127.0.0.1:PORT`` reaches it. There is one service, ``shell,v2``.
As on a phone, a command gets a session of its own and SIGHUP when the client goes away, and
temporary files go to HOME. RUNNER is a command that the line of shell is appended to.

A message has a header (command, two arguments, size, a checksum that this version does not use,
inverted command) and data. A client opens a stream for each service; data is sent when the other
side has acknowledged the last. In a stream of ``shell,v2``, a packet is a kind, a size and data.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

HEADER, PACKET = struct.Struct("<4s5I"), struct.Struct("<BI")
VERSION, MOST_DATA = 0x0100_0001, 1 << 18
BANNER = b"device::ro.product.name=fake;ro.product.model=Fake Phone;features=shell_v2,cmd"
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
SHELL = ("/bin/sh", "-c")
PIECE = 1 << 15


class Stream:
    """One service for one client; what the client sends can be read from ``received``."""

    def __init__(self, client: Client, local: int, remote: int) -> None:
        self.client, self.local, self.remote = client, local, remote
        self.received = asyncio.StreamReader()
        self.acknowledged = asyncio.Event()
        self.is_open = True

    async def write(self, kind: int, data: bytes) -> None:
        """Send one packet and wait until it has arrived; nothing where the client is gone."""
        if self.is_open:
            self.acknowledged.clear()
            packet = PACKET.pack(kind, len(data)) + data
            self.client.send(b"WRTE", self.local, self.remote, packet)
            await self.acknowledged.wait()

    def end(self) -> None:
        if self.is_open:
            self.is_open = False
            self.received.feed_eof()
            self.acknowledged.set()


class Client:
    """A connection of an adb server."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, phone: Phone
    ) -> None:
        self.reader, self.writer, self.phone = reader, writer, phone
        self.streams: dict[int, Stream] = {}
        self.services: set[asyncio.Task[None]] = set()

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        inverted = int.from_bytes(command, "little") ^ 0xFFFF_FFFF
        self.writer.write(HEADER.pack(command, first, second, len(data), 0, inverted) + data)

    async def serve(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await self.reader.readexactly(HEADER.size)
                command, first, second, size, *_ = HEADER.unpack(header)
                self._take(command, first, second, await self.reader.readexactly(size))
        for stream in self.streams.values():
            stream.end()
        self.writer.close()

    def _take(self, command: bytes, first: int, second: int, data: bytes) -> None:
        stream = self.streams.get(second)
        if command == b"CNXN":
            self.send(b"CNXN", VERSION, MOST_DATA, BANNER)
        elif command == b"OPEN":
            self._open(first, data.rstrip(b"\0"))
        elif command == b"WRTE" and stream is not None:
            stream.received.feed_data(data)
            self.send(b"OKAY", second, first)
        elif command == b"OKAY" and stream is not None:
            stream.acknowledged.set()
        elif command == b"CLSE" and stream is not None:
            stream.end()

    def _open(self, remote: int, service: bytes) -> None:
        name, _, line = service.partition(b":")
        if not name.startswith(b"shell,v2"):
            self.send(b"CLSE", 0, remote)
            return
        local = len(self.streams) + 1
        stream = self.streams[local] = Stream(self, local, remote)
        self.send(b"OKAY", local, remote)
        task = asyncio.create_task(self._shell(stream, line))
        self.services.add(task)
        task.add_done_callback(self.services.discard)

    async def _shell(self, stream: Stream, line: bytes) -> None:
        child = await self.phone.start(line)
        assert child.stdout is not None
        assert child.stderr is not None
        to_child = asyncio.create_task(_feed(stream, child))
        await asyncio.gather(
            _drain(child.stdout, stream, STDOUT), _drain(child.stderr, stream, STDERR)
        )
        code = await child.wait()
        to_child.cancel()
        await stream.write(EXIT, bytes([code if code >= 0 else 128 - code]))
        self.send(b"CLSE", stream.local, stream.remote)


async def _feed(stream: Stream, child: Process) -> None:
    """What the client sends, to the child; when the client goes away, the child hears of it."""
    assert child.stdin is not None
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            kind, size = PACKET.unpack(await stream.received.readexactly(PACKET.size))
            data = await stream.received.readexactly(size)
            if kind == STDIN:
                with contextlib.suppress(ConnectionError):
                    child.stdin.write(data)
                    await child.stdin.drain()
            elif kind == CLOSE_STDIN:
                child.stdin.close()
    child.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGHUP)


async def _drain(source: asyncio.StreamReader, stream: Stream, kind: int) -> None:
    while piece := await source.read(PIECE):
        await stream.write(kind, piece)


class Phone:
    """Starts each command in the folder ``home``."""

    def __init__(self, home: str, runner: Sequence[str]) -> None:
        self.home, self.runner = home, runner

    async def start(self, line: bytes) -> Process:
        return await asyncio.create_subprocess_exec(
            *self.runner,
            os.fsdecode(line),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=self.home,
            env={"HOME": "/", "TMPDIR": self.home, "PATH": os.environ["PATH"]},
            start_new_session=True,
        )

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Client(reader, writer, self).serve()


async def main(home: str, *runner: str) -> None:
    server = await asyncio.start_server(Phone(home, runner or SHELL).accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
