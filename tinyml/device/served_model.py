"""A process on the machine of a link that has loaded a model file and computes what it is sent."""

from __future__ import annotations

import contextlib
import selectors
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from tinyml.core.errors import DeviceError, machine_errors
from tinyml.core.interruption import LOOK_S, check_interrupted
from tinyml.core.process import tied
from tinyml.core.spec import Array, Arrays
from tinyml.core.subprocesses import killed_after
from tinyml.device.link import LINK_FAILED, CommandResult, Link
from tinyml.device.program import check_end
from tinyml.device.runner_output import check_answer
from tinyml.device.stderr_tail import StderrTail
from tinyml.runtimes.runner.messages import receive, send

# For loading a file, or for one call; the process there ends itself after as long.
TIMEOUT_S = 600.0
# Between the end of its stdout and its own.
END_S = 10.0
# To see whether the link works.
LINK_S = 20.0
# Of the outputs of a call.
MOST_BYTES = 1 << 30


class ServedModel:
    """``command`` is run on the machine of ``link``; ``title`` names it, the file and the runtime.

    ``loaded`` is what the process reports about the loaded model. Every call, and the start,
    raises `DeviceError` where the process ends, hangs or sends anything else, and then it is over.
    """

    def __init__(self, link: Link, command: Sequence[str], title: str) -> None:
        self.title, self.link = title, link
        pipe, started = subprocess.PIPE, link.command(command)
        with machine_errors(f"starting {started[0]}"):
            self.process = subprocess.Popen(tied(started), stdin=pipe, stdout=pipe, stderr=pipe)
        self.stderr = StderrTail(self.process)
        try:
            self.loaded: Mapping[str, Any] = self._ask(None)[0]
        except BaseException:
            self.close()
            raise

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """The outputs by name."""
        return self._ask(inputs)[1]

    def close(self) -> None:
        """End the process; what it computes meanwhile is lost."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):  # a request that was not read
                stream.close()

    def _ask(self, inputs: Arrays | None) -> tuple[Mapping[str, Any], dict[str, Array]]:
        """Send ``inputs``, if any, and wait for the answer."""
        with killed_after(self.process, TIMEOUT_S) as overdue:
            try:
                answer = self._answer(inputs)
            except (OSError, EOFError) as error:
                if overdue.is_set():
                    late = f"{self.title}: no answer within {TIMEOUT_S:g} s"
                    raise DeviceError(late, hint="try a smaller model") from None
                raise self._end() from error
            except ValueError as error:
                raise self._unreadable(error) from error
        check_answer(answer[0], self.title, self.link.name)
        return answer

    def _answer(self, inputs: Arrays | None) -> tuple[Mapping[str, Any], dict[str, Array]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if inputs is not None:
            send(self.process.stdin, {}, inputs)
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ)
            while not waiting.select(LOOK_S):
                check_interrupted()
        return receive(self.process.stdout, MOST_BYTES)

    def _end(self) -> DeviceError:
        """The error that describes how the process ended."""
        try:
            code = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            return DeviceError(f"{self.title}: the process closed its output and did not end")
        text = self.stderr.text(END_S)
        if code == LINK_FAILED:
            self._check_link()
        check_end(CommandResult(code, "", text), self.title, self.link.name)
        return DeviceError(f"{self.title}: the process ended before it answered")

    def _check_link(self) -> None:
        """Raise `DeviceError` where the machine cannot be reached any more."""
        try:
            self.link.run(["true"], timeout_s=LINK_S)
        except DeviceError as error:
            raise DeviceError(
                f"{self.title}: the connection to {self.link.name} was lost", hint=error.hint
            ) from error

    def _unreadable(self, error: ValueError) -> DeviceError:
        return DeviceError(
            f"{self.title}: what the board sent is not an output: {error}",
            hint="a start file on the board prints text: look at ~/.profile and ~/.bashrc",
        )
