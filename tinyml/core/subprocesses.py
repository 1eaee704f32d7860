"""One conversion is one child process: its prints, memory and crashes stay its own.

The parent calls `run_child`; the child is this module run as a program, which ties its
life to the parent's, limits its memory, runs the module asked for and reports an error
as a small JSON file, so that the parent can raise the same one.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyml.core.child_errors import error_from_json, error_to_json
from tinyml.core.errors import ExportError, MachineError, TinymlError, machine_errors
from tinyml.core.memory_limit import (
    NO_MEMORY,
    Stuck,
    lacks_memory,
    limit_memory,
    out_of_memory,
)
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
# Children that run a user's code or many conversions: there garbage may add up.
LONG = ("tinyml.pipeline.",)
# New objects before garbage is looked for there: Python's 700 cost a quarter of the time.
GARBAGE = 10_000
# How often a child is looked at while it runs.
LOOK_S = 0.5
LAST_WORDS = 4096
_FAILED = 70
_CONTINUATION = re.compile(r"^(\s|[IWEF]\d{4} |\(\d\d:\d\d\))")


@dataclass(frozen=True, slots=True)
class Child:
    """``python -m module arguments``; everything it prints goes to ``log``."""

    module: str
    arguments: tuple[str, ...]
    log: Path


def run_child(
    module: str,
    arguments: list[str],
    *,
    log: Path,
    timeout_s: float,
    memory_mb: int | None = None,
) -> None:
    """Run one child to its end; whatever happens, it does not outlive the call.

    Raises the `TinymlError` that the child raised; `MachineError` when it was killed, ran
    out of memory or took longer than ``timeout_s``; `ExportError` for anything else.
    """
    child = Child(module, tuple(arguments), log)
    with machine_errors(f"running {module}"), scratch("child") as folder:
        report = folder / "report.json"
        process = _start(child, report, memory_mb or 0)
        try:
            _wait(child, process, report, timeout_s, memory_mb or 0)
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a child with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _start(child: Child, report: Path, memory_mb: int) -> subprocess.Popen[bytes]:
    child.log.parent.mkdir(parents=True, exist_ok=True)
    tie = [str(report), str(os.getpid()), str(memory_mb)]
    with child.log.open("wb") as output:
        return subprocess.Popen(
            python_module(__name__, [*tie, child.module, *child.arguments]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(report.parent),
            start_new_session=True,
        )


def environment(temporary: Path) -> dict[str, str]:
    """Of a child; what it and the packages that it uses leave in ``temporary`` goes with that."""
    return child_environment({**ENVIRONMENT, "TMPDIR": str(temporary)})


def _wait(
    child: Child,
    process: subprocess.Popen[bytes],
    report: Path,
    timeout_s: float,
    memory_mb: int,
) -> None:
    until, stuck = time.monotonic() + timeout_s, Stuck(process.pid, memory_mb)
    while not _ended(process, min(LOOK_S, until - time.monotonic())):
        if stuck.now():
            raise out_of_memory(child.module, memory_mb)
        if time.monotonic() > until:
            raise late(child, timeout_s)
    if process.returncode:
        raise failure(child, process.returncode, report, memory_mb)


def _ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(within_s, 0.0))
    return process.returncode is not None


def late(child: Child, timeout_s: float) -> MachineError:
    """The error for a child that took longer than ``timeout_s``."""
    return MachineError(
        f"{child.module} did not finish within {timeout_s:g} s", hint=f"its log: {child.log}"
    )


def failure(child: Child, code: int, report: Path, memory_mb: int) -> TinymlError:
    """The error of a child that ended with ``code``: its own where it left a ``report``."""
    error = _error(child.module, code, report, child.log, memory_mb)
    error.child = child.module
    return error


def _error(module: str, code: int, report: Path, log: Path, memory_mb: int) -> TinymlError:
    said = log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:]
    if not report.is_file() and memory_mb and NO_MEMORY.search(said):
        return out_of_memory(module, memory_mb)
    if report.is_file():
        data = json.loads(report.read_text(encoding="utf-8"))
        if data["error"]:
            return error_from_json(data["error"])
        return ExportError(f"{module} failed: {data['message']}", hint=f"its log: {log}")
    if code < 0:
        name = signal.Signals(-code).name
        return MachineError(f"{module} was killed ({name})", hint=f"its log: {log}")
    return ExportError(f"{module} failed: {last_line(log)}", hint=f"its log: {log}")


def last_line(log: Path) -> str:
    """The last line of ``log`` that is neither indented nor a native logger's."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if line.strip() and not _CONTINUATION.match(line)]
    return said[-1].strip()[:300] if said else "it printed nothing"


def main(arguments: list[str]) -> None:
    """The child: ``REPORT PARENT_PID MEMORY_MB MODULE ARGUMENTS...``."""
    report, parent, memory_mb, module, *rest = arguments
    begin(parent, int(memory_mb))
    code = run_module(module, rest, Path(report), int(memory_mb))
    gc.freeze()  # else the end of the process looks for garbage, for a second
    if code:
        raise SystemExit(code)


def begin(parent: str, memory_mb: int) -> None:
    """Tie this process to ``parent``, what it starts to this one, and limit its memory."""
    take_along()
    die_with(int(parent))
    limit_memory(memory_mb)


def run_module(module: str, arguments: list[str], report: Path, memory_mb: int) -> int:
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
        with contextlib.suppress(OSError):  # the log's disk may be full
            traceback.print_exc()  # for whoever wants more than the one line
        told = out_of_memory(module, memory_mb) if lacks_memory(error) else error
        if isinstance(told, TinymlError):
            _report(report, error_to_json(told), told.message)
            return told.exit_code
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        message = f"{type(error).__name__}: {lines[0][:300] if lines else ''}"
        _report(report, {}, message)
        return _FAILED
    return 0


def _report(path: Path, told: Mapping[str, Any], message: str) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps({"error": told, "message": message}), encoding="utf-8")
    draft.rename(path)


if __name__ == "__main__":
    main(sys.argv[1:])
