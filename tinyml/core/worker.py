"""One child process for all of an export's own steps: each package is imported once.

A step is a module that is run as a program, as in `tinyml.core.subprocesses`; importing torch and
the converters takes longer than most steps. A user's code is never run here.

The parent sends one line of JSON a step and reads the step's exit code from the other pipe.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

from tinyml.core.errors import machine_errors
from tinyml.core.memory_limit import Stuck, out_of_memory
from tinyml.core.process import python_module
from tinyml.core.scratch import scratch
from tinyml.core.subprocesses import (
    LOOK_S,
    Child,
    begin,
    end,
    environment,
    failure,
    late,
    run_module,
)


class Worker(AbstractContextManager["Worker"]):
    """A process that is started by its first step, and ends with the block or with a failure.

    ``memory_mb`` limits the process, 0: nothing does.
    """

    def __init__(self, memory_mb: int) -> None:
        self.memory_mb = memory_mb
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()
        self._folder = Path()
        self._steps = 0

    def run(self, steps: Sequence[Child], timeout_s: float) -> None:
        """Run ``steps`` one after another, each within ``timeout_s``.

        Raises what a step raised, as `tinyml.core.subprocesses.run_child`.
        """
        for step in steps:
            with machine_errors(f"running {step.module}"):
                self._run(step, timeout_s)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next step starts another one."""
        self._process = None
        self._stack.close()

    def _run(self, step: Child, timeout_s: float) -> None:
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it died between two steps
        step.log.parent.mkdir(parents=True, exist_ok=True)
        process = self._process or self._start(step.log)
        self._steps += 1
        report = self._folder / f"{self._steps}.json"
        request = [step.module, list(step.arguments), str(step.log.absolute()), str(report)]
        try:
            code = self._ask(process, request, step, timeout_s)
            if code:
                raise failure(step, code, report, self.memory_mb)
        except BaseException:
            self.close()
            raise

    def _ask(
        self, process: subprocess.Popen[bytes], request: object, step: Child, timeout_s: float
    ) -> int:
        """The exit code of ``step``, or of the process that died of it."""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return process.wait() or 1
        until, stuck = time.monotonic() + timeout_s, Stuck(process.pid, self.memory_mb)
        while not select.select([process.stdout], [], [], LOOK_S)[0]:
            if time.monotonic() > until:
                raise late(step, timeout_s)
            if stuck.now():
                raise out_of_memory(step.module, self.memory_mb)
        answer = process.stdout.readline()
        return int(answer) if answer else process.wait() or 1

    def _start(self, log: Path) -> subprocess.Popen[bytes]:
        """The process; what it prints before its first step goes to ``log``."""
        self._folder = self._stack.enter_context(scratch("worker"))
        tie = [str(os.getpid()), str(self.memory_mb)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                python_module(__name__, tie),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environment(self._folder),
                start_new_session=True,
            )
        self._stack.callback(_close, process)
        self._process = process
        return process


def _close(process: subprocess.Popen[bytes]) -> None:
    end(process)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):  # a request that was never read
                stream.close()


def main(arguments: list[str]) -> None:
    """The child: ``PARENT_PID MEMORY_MB``; ends with its stdin."""
    parent, memory_mb = arguments
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    _take(os.open(os.devnull, os.O_RDONLY), 0)
    begin(parent, int(memory_mb))
    for line in requests:
        module, given, log, report = json.loads(line)
        code = _step(module, given, Path(log), Path(report), int(memory_mb))
        _answer(answers, code)
        gc.collect()


def _step(module: str, given: list[str], log: Path, report: Path, memory_mb: int) -> int:
    """Run one module; all that it prints goes to ``log``."""
    for number in (1, 2):
        _take(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666), number)
    try:
        return run_module(module, given, report, memory_mb)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        with contextlib.suppress(OSError):  # the log's disk is full
            sys.stdout.flush()
            sys.stderr.flush()


def _take(descriptor: int, number: int) -> None:
    os.dup2(descriptor, number)
    os.close(descriptor)


def _answer(answers: IO[bytes], code: int) -> None:
    answers.write(b"%d\n" % code)
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
