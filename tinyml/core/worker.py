"""One child process for all of an export's own steps: each package is imported once.

A step is a module that is run as a program, as in `tinyml.core.subprocesses`; importing torch and
the converters takes longer than most steps. A user's code is never run here, but in a fork of this
process that is made before its first step (`Worker.run_apart`).

The parent sends one line of JSON a step and reads the step's exit code from the other pipe; of a
step that runs apart the process id comes first, or 0 where it is safer in a new process.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tinyml.core.child_errors import death, late, out_of_memory
from tinyml.core.errors import machine_errors
from tinyml.core.memory_limit import Stuck
from tinyml.core.process import python_module
from tinyml.core.scratch import scratch
from tinyml.core.subprocesses import (
    LOOK_S,
    Child,
    begin,
    end,
    environment,
    naming,
    run_child,
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

    def run_apart(
        self, step: Child, timeout_s: float, *, imports: str, meanwhile: Sequence[str] = ()
    ) -> None:
        """Run ``step``, which may do anything, within ``timeout_s`` in a process of its own.

        It is a fork of this one, if that has run no step yet, with the module ``imports`` imported:
        importing torch takes longer than most captures. This process imports the modules
        ``meanwhile`` until it ends. Raises as `run`.
        """
        if self._process is not None or not self._forked(step, timeout_s, imports, meanwhile):
            self._run_alone(step, timeout_s)

    def _run_alone(self, step: Child, timeout_s: float) -> None:
        """In a process that is started for it."""
        run_child(
            step.module,
            [*step.arguments],
            log=step.log,
            timeout_s=timeout_s,
            memory_mb=self.memory_mb,
        )

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
        with self._asked(step) as (process, report):
            until = time.monotonic() + timeout_s
            code = self._answer(process, process.pid, until, timeout_s)
            if code is None:
                code = process.wait() or 1
            if code:
                raise death(code, report, step.log, self.memory_mb)

    def _forked(
        self, step: Child, timeout_s: float, imports: str, meanwhile: Sequence[str]
    ) -> bool:
        """Whether it could be run in a fork."""
        apart = {"imports": imports, "meanwhile": list(meanwhile)}
        with machine_errors(f"running {step.module}"):
            with self._asked(step, apart) as (process, report):
                until = time.monotonic() + timeout_s
                pid = self._answer(process, process.pid, until, timeout_s)
                if pid == 0:
                    return False
                code = None if pid is None else self._end_of(pid, process, until, timeout_s)
                if code is None:
                    raise death(process.wait() or 1, report, step.log, self.memory_mb)
            if code:  # of the fork alone
                with naming(step):
                    raise death(code, report, step.log, self.memory_mb)
        return True

    def _end_of(
        self, pid: int, process: subprocess.Popen[bytes], until: float, timeout_s: float
    ) -> int | None:
        """Exit code of the fork ``pid``, whose group is killed; ``None``: the process died."""
        try:
            return self._answer(process, pid, until, timeout_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # what the step started, and did not end

    @contextlib.contextmanager
    def _asked(
        self, step: Child, apart: dict[str, Any] | None = None
    ) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """The process, which was asked for ``step``, and where an error is reported.

        Whatever happens in the block ends the process.
        """
        step.log.parent.mkdir(parents=True, exist_ok=True)
        process = self._process or self._start(step.log)
        self._steps += 1
        report = self._folder / f"{self._steps}.json"
        request = {
            "module": step.module,
            "arguments": list(step.arguments),
            "log": str(step.log.absolute()),
            "report": str(report),
            "apart": apart,
        }
        assert process.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # its end is the answer
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            with naming(step):
                yield process, report
        except BaseException:
            self.close()
            raise

    def _answer(
        self, process: subprocess.Popen[bytes], runs: int, until: float, timeout_s: float
    ) -> int | None:
        """What it answers; ``None``: it died; ``runs``: who is watched for a lack of memory."""
        assert process.stdout is not None
        stuck = Stuck(runs, self.memory_mb)
        while not select.select([process.stdout], [], [], LOOK_S)[0]:
            if time.monotonic() > until:
                raise late(timeout_s)
            if stuck.now():
                raise out_of_memory(self.memory_mb)
        answer = process.stdout.readline()
        return int(answer) if answer else None

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
        self._stack.callback(end, process)
        self._process = process
        return process


def main(arguments: list[str]) -> None:
    """The child: ``PARENT_PID MEMORY_MB``; ends with its stdin."""
    parent, memory_mb = arguments
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    _take(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what an import prints is no answer
    begin(parent, int(memory_mb))
    for line in requests:
        asked = json.loads(line)
        run = partial(
            _step,
            asked["module"],
            asked["arguments"],
            Path(asked["log"]),
            Path(asked["report"]),
        )
        if asked["apart"] is None:
            _answer(answers, run())
            gc.collect()
        else:
            _apart(run, requests, answers, int(memory_mb), **asked["apart"])


def _apart(
    run: Callable[[], int],
    requests: IO[bytes],
    answers: IO[bytes],
    memory_mb: int,
    *,
    imports: str,
    meanwhile: Sequence[str],
) -> None:
    """Fork into ``run``, answer with the process id and then its exit code; 0: it was not safe."""
    gc.disable()
    if not _imported(imports):
        _answer(answers, 0)
        return
    gc.freeze()  # what is imported is not garbage
    for number in (1, 2):  # the log is the fork's: it opens it again
        _take(os.open(os.devnull, os.O_WRONLY), number)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for stream in (requests, answers):  # nothing that is started here can hold them open
            _take(os.open(os.devnull, os.O_RDWR), stream.fileno())
        begin(str(parent), memory_mb)
        code = run()
        gc.freeze()
        raise SystemExit(code)
    _answer(answers, pid)
    waiting = threading.Thread(target=_answer_end, args=(answers, pid))
    waiting.start()
    for module in meanwhile:
        with contextlib.suppress(Exception):  # the step that needs it will raise it
            importlib.import_module(module)
    waiting.join()


def _imported(module: str) -> bool:
    """Whether ``module`` is, and no thread came with it: a fork has none of them.

    numpy's own are no matter: it ends them before a fork and starts them again behind it.
    """
    import numpy  # noqa: F401

    if sys.platform != "linux":
        return False
    before = len(os.listdir("/proc/self/task"))
    try:
        importlib.import_module(module)
    except Exception:  # a new process raises it again, and for the user
        return False
    return len(os.listdir("/proc/self/task")) == before


def _answer_end(answers: IO[bytes], pid: int) -> None:
    _answer(answers, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _step(module: str, given: list[str], log: Path, report: Path) -> int:
    """Run one module; all that it prints goes to ``log``."""
    for number in (1, 2):
        _take(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666), number)
    try:
        return run_module(module, given, report)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        for stream in (sys.stdout, sys.stderr):
            # The log's disk is full, or the step closed the stream or took it away.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()


def _take(descriptor: int, number: int) -> None:
    os.dup2(descriptor, number)
    os.close(descriptor)


def _answer(answers: IO[bytes], code: int) -> None:
    answers.write(b"%d\n" % code)
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
