"""Every child process of ours: its prints, memory and crashes stay its own.

The parent calls `run_child`, or `answer_of` where it waits for bytes; `tinyml.core.worker` and
`tinyml.runtimes.file_session` keep a child and ask it again. The child is this module run as a
program, which ties its life to the parent's, limits its memory, runs the module asked for and
reports an error as a small JSON file, so that the parent can raise the same one. A child is
protection against crashes and against what takes all memory or time: it has the user's own rights
and is not a sandbox.
"""

from __future__ import annotations

import contextlib
import gc
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tinyml.core.child_errors import DiedError, death, late, out_of_memory, report
from tinyml.core.errors import InternalError, TinymlError, machine_errors
from tinyml.core.memory_limit import Stuck, limit_memory
from tinyml.core.process import child_environment, die_with, python_module, take_along
from tinyml.core.scratch import scratch

# Same bytes each time, no telemetry, no accelerator probing, quiet native logs.
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "ORT_DISABLE_TELEMETRY": "1",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONUNBUFFERED": "1",
}
# Children that run a user's code, many conversions or many cases: there garbage may add up.
LONG = ("tinyml.pipeline.", "tinyml.runtimes.file_session")
# New objects before garbage is looked for there: Python's 700 cost a quarter of the time.
GARBAGE = 10_000
# How often a child is looked at while it runs.
LOOK_S = 0.5
LOG, REPORT = "log", "report.json"


@dataclass(frozen=True, slots=True)
class Child:
    """``python -m module arguments``; what it prints goes to ``log``."""

    module: str
    arguments: tuple[str, ...]
    log: Path


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` on the wall; ``memory_mb`` of heap, 0: nothing limits it."""

    seconds: float
    memory_mb: int = 0


def run_child(
    module: str,
    arguments: Sequence[str],
    *,
    log: Path,
    timeout_s: float,
    memory_mb: int | None = None,
) -> None:
    """Run one child to its end; whatever happens, it does not outlive the call.

    Raises the `TinymlError` that the child raised; `InternalError` for any other exception;
    `MachineError` when it was killed, ran out of memory or took longer than ``timeout_s``;
    `ExportError` when it ended in another way.
    """
    child = Child(module, tuple(arguments), log)
    with machine_errors(f"running {module}"), scratch("child") as folder, naming(child):
        _run(child, folder / REPORT, Limits(timeout_s, memory_mb or 0), None)


def answer_of(module: str, arguments: Sequence[str], limits: Limits) -> bytes:
    """Run one child to its end: what it wrote to its `answering`.

    Raises the `TinymlError` that it raised, and `DiedError` for any other end.
    """
    with scratch("child") as folder:
        child = Child(module, tuple(arguments), folder / LOG)
        return _run(child, folder / REPORT, limits, subprocess.PIPE)


@contextlib.contextmanager
def naming(child: Child) -> Iterator[None]:
    """`DiedError` as an error that names the module and the log; errors name the module.

    A child's exception that is not a `TinymlError` is a bug: a user's code runs in blocks that
    turn all that it raises into one.
    """
    try:
        yield
    except DiedError as died:
        if died.trace:
            failed = f"{child.module} {died.how}; its log: {child.log}"
            raise InternalError(failed, died.trace) from None
        error = died.kind(f"{child.module} {died.how}", hint=died.hint or f"its log: {child.log}")
        error.child = child.module
        raise error from None
    except TinymlError as error:
        error.child = child.module
        raise


def start(
    child: Child,
    reported: Path,
    memory_mb: int,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
) -> subprocess.Popen[bytes]:
    """The process, to be ended by `end`; ``stdout``: the log, or a pipe for `answering`."""
    tie = [str(reported), str(os.getpid()), str(memory_mb)]
    command = [__name__, *tie, child.module, *child.arguments]
    child.log.parent.mkdir(parents=True, exist_ok=True)
    with child.log.open("wb") as log:
        return subprocess.Popen(
            python_module(command[0], command[1:]),
            stdin=stdin,
            stdout=log if stdout is None else stdout,
            stderr=log,
            env=environment(reported.parent),
            start_new_session=True,
        )


def environment(temporary: Path) -> dict[str, str]:
    """Of a child; what it and the packages that it uses leave in ``temporary`` goes with that."""
    return child_environment({**ENVIRONMENT, "TMPDIR": str(temporary)})


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a child with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):  # a request that was never read
                stream.close()


@contextlib.contextmanager
def killed_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kill ``process`` and set the event, unless the block ends within ``seconds``."""
    overdue = threading.Event()

    def give_up() -> None:
        overdue.set()
        process.kill()

    timer = threading.Timer(seconds, give_up)
    timer.start()
    try:
        yield overdue
    finally:
        timer.cancel()


def _run(child: Child, reported: Path, limits: Limits, stdout: int | None) -> bytes:
    process = start(child, reported, limits.memory_mb, stdout=stdout)
    try:
        answer = _wait(process, limits)
        if process.returncode:
            raise death(process.returncode, reported, child.log, limits.memory_mb)
        return answer
    finally:
        end(process)


def _wait(process: subprocess.Popen[bytes], limits: Limits) -> bytes:
    """What it answers until it ends; nothing where its stdout is the log."""
    until, stuck = time.monotonic() + limits.seconds, Stuck(process.pid, limits.memory_mb)
    while True:
        left = until - time.monotonic()
        try:
            return process.communicate(timeout=max(0.0, min(LOOK_S, left)))[0] or b""
        except subprocess.TimeoutExpired:
            if stuck.now():
                raise out_of_memory(limits.memory_mb) from None
            if left <= 0:
                raise late(limits.seconds) from None


def main(arguments: list[str]) -> None:
    """The child: ``REPORT PARENT_PID MEMORY_MB MODULE ARGUMENTS...``."""
    reported, parent, memory_mb, module, *rest = arguments
    begin(parent, int(memory_mb))
    code = run_module(module, rest, Path(reported))
    gc.freeze()  # else the end of the process looks for garbage, for a second
    if code:
        raise SystemExit(code)


def begin(parent: str, memory_mb: int) -> None:
    """Tie this process to ``parent``, what it starts to this one, and limit its memory."""
    take_along()
    die_with(int(parent))
    limit_memory(memory_mb)


def run_module(module: str, arguments: list[str], reported: Path) -> int:
    """Run ``module`` as a program in this process; its exit code, and for an error a report."""
    if module.startswith(LONG):
        gc.set_threshold(GARBAGE)
        gc.enable()
    else:
        gc.disable()  # a fifth of the time of a conversion; it would free little
    sys.argv = [module, *arguments]
    try:
        with warnings.catch_warnings():
            # An earlier step of this process may have imported the module.
            warnings.filterwarnings("ignore", ".* found in sys.modules", RuntimeWarning)
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except Exception as error:
        # The log's disk may be full, or the module closed stderr.
        with contextlib.suppress(OSError, ValueError):
            traceback.print_exc()  # for whoever wants more than the one line
        return report(reported, error)
    return 0


@contextlib.contextmanager
def answering() -> Iterator[BinaryIO]:
    """The child's side of `answer_of`: where to answer. Whatever prints, prints to the log."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with answers:
        yield answers


if __name__ == "__main__":
    main(sys.argv[1:])
