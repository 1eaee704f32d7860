"""A process on the machine of a link: fed while it runs, and its lines are read as they come."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
from collections.abc import Iterator, Sequence

from tinyml.board_scripts.listen_sound import MACHINE, SoundError, SoundSource
from tinyml.core.errors import DeviceError, machine_errors
from tinyml.core.interruption import LOOK_S
from tinyml.core.process import tied
from tinyml.device.link import CommandResult
from tinyml.device.stderr_tail import StderrTail

# After the end of its input: for what it still computes, and to end.
END_S = 20.0
PIECE = 4096
MOST_LINE_BYTES = 1 << 20


class PipedProcess:
    """``command`` is that of a link; ``source`` is what it is fed, or nothing until `stop`.

    It is in a session of its own, since Ctrl-C ends its input first, and not the connection.
    """

    def __init__(self, command: Sequence[str], source: SoundSource | None) -> None:
        pipe = subprocess.PIPE
        with machine_errors(f"starting {command[0]}"):
            self.process = subprocess.Popen(
                tied(command),
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                bufsize=0,
                start_new_session=True,
            )
        self.source, self.stopped = source, threading.Event()
        self.timer = threading.Timer(END_S, self.process.kill)
        self.failure: SoundError | None = None
        self.feeding = threading.Thread(target=self._feed, daemon=True)
        self.feeding.start()
        self.stderr = StderrTail(self.process)

    def lines(self) -> Iterator[bytes]:
        """The lines of its output, to its end."""
        assert self.process.stdout is not None
        buffered = b""
        while piece := os.read(self.process.stdout.fileno(), 1 << 16):
            *whole, buffered = (buffered + piece).split(b"\n")
            yield from whole
            if len(buffered) > MOST_LINE_BYTES:
                raise DeviceError("a line of its output has no end")

    def stop(self) -> None:
        """End its input; it ends by itself then, or is killed after `END_S`."""
        if not self.stopped.is_set():
            self.stopped.set()
            self.timer.start()

    def result(self) -> CommandResult:
        """How it ended; its output has ended."""
        self.stop()
        code = self.process.wait()
        self.timer.cancel()
        self.feeding.join(END_S)
        return CommandResult(code, "", self.stderr.text(END_S))

    def close(self) -> None:
        """End it now, if it still runs."""
        self.stopped.set()
        self.timer.cancel()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _feed(self) -> None:
        """Copy the sound; without any, keep the input open until `stop`."""
        assert self.process.stdin is not None
        with self.process.stdin as stream, contextlib.suppress(BrokenPipeError):
            if self.source is None:
                self.stopped.wait()
                return
            try:
                while not self.stopped.is_set():
                    if not self._is_ready(self.source.pipe):
                        continue
                    if not (data := self._read(self.source)):
                        return
                    _write_all(stream.fileno(), data)
            except SoundError as error:
                self.failure = error

    @staticmethod
    def _read(source: SoundSource) -> bytes:
        try:
            return source.read(PIECE)
        except OSError as error:
            raise SoundError(MACHINE, f"the sound cannot be read: {error.strerror}") from error

    @staticmethod
    def _is_ready(descriptor: int) -> bool:
        """Whether a read would not wait; of what is in memory it never does."""
        return descriptor < 0 or bool(select.select([descriptor], [], [], LOOK_S)[0])


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
