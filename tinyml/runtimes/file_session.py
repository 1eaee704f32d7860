"""A third-party model file is loaded and run by its runtime in a child process, never here.

Runtimes are native code that trusts a file in places: one that kills its reader kills the
child, and the user reads one line.

    python -m tinyml.runtimes.file_session MODEL MODULE:RUNTIME

Both sides send messages (`tinyml.runtimes.runner.messages`). The child answers one request after
the other, and ends with the first that fails or when its stdin ends.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from tinyml.core.child_errors import death, late
from tinyml.core.errors import InputError, machine_errors
from tinyml.core.process import machine_memory_mb
from tinyml.core.registry import load_row
from tinyml.core.scratch import scratch
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.core.subprocesses import LOG, REPORT, Child, answering, end, killed_after, start
from tinyml.core.typed_json import from_json, to_json
from tinyml.runtimes import file_process
from tinyml.runtimes.base import Reader, RefusedError, Runtime, Wrapped
from tinyml.runtimes.runner.messages import NUMBERS, receive, send

# For loading a file, or for running it once.
SECONDS = 600.0
Message = tuple[dict[str, Any], dict[str, Array]]


@dataclass(frozen=True)
class ChildRuntime(Wrapped):
    """``engine`` as a `Runtime` whose files are opened in children, one a file.

    ``row`` is its row in `tinyml.core.registry.RUNTIMES`. Raises what ``engine`` raises, and
    `InputError` naming the file and the runtime when the child dies or does not end. Children end
    with this object.
    """

    engine: Runtime
    row: str
    children: dict[Path, _Child] = field(default_factory=dict)

    def open(self, path: Path, *, threads: int = 1) -> ChildSession:
        told, _ = self.ask(path, {"do": "open", "threads": threads}, {})
        try:
            signature = from_json(Signature, told["signature"])
            precision = from_json(str, told["precision"])
        except (LookupError, InputError) as error:
            raise file_process.unreadable(path, self.name, error) from error
        return ChildSession(path, signature, precision, self, threads)

    def check_loads(self, path: Path) -> None:
        """Load ``path``, whatever its shapes; raises `InputError` where that fails."""
        self.ask(path, {"do": "load"}, {})

    def reader(self, path: Path, names: Sequence[str]) -> Reader:
        def read(inputs: Arrays) -> dict[str, Array]:
            return self.read_tensors(path, names, inputs)

        return read

    def read_tensors(self, path: Path, names: Sequence[str], inputs: Arrays) -> dict[str, Array]:
        return self.ask(path, {"do": "read", "names": list(names)}, inputs)[1]

    def ask(self, path: Path, head: Mapping[str, Any], arrays: Arrays) -> Message:
        """One request to the child of ``path``, which is started where there is none."""
        if path not in self.children:
            self.children[path] = _Child(path, self.name, self.row)
        try:
            return self.children[path].ask(head, arrays)
        except BaseException:
            self.children.pop(path, None)  # another thread may have met the same end
            raise


@dataclass(frozen=True, slots=True)
class ChildSession:
    """A model that a child has loaded."""

    path: Path
    signature: Signature
    precision: str
    runtime: ChildRuntime
    threads: int

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self.signature.check_inputs(inputs)
        return self.runtime.ask(self.path, {"do": "run", "threads": self.threads}, inputs)[1]


class _Child:
    """The process for one file; it is killed when this object goes."""

    def __init__(self, path: Path, who: str, row: str) -> None:
        self.path, self.who = path, who
        self.lock = threading.Lock()  # requests of several threads take turns
        self.memory_mb = machine_memory_mb()
        with machine_errors(f"starting {who} on {path.name}"), ExitStack() as stack:
            folder = stack.enter_context(scratch("child"))
            self.log, self.report = folder / LOG, folder / REPORT
            child = Child(__name__, (str(path), row), self.log)
            pipe = subprocess.PIPE
            self.process = start(child, self.report, self.memory_mb, stdin=pipe, stdout=pipe)
            stack.callback(end, self.process)
            weakref.finalize(self, stack.pop_all().close)

    def ask(self, head: Mapping[str, Any], arrays: Arrays) -> Message:
        """Send a request, and wait for its answer; raises what the child's end tells."""
        with self.lock, file_process.naming(self.path, self.who):
            return self._ask(head, arrays)

    def _ask(self, head: Mapping[str, Any], arrays: Arrays) -> Message:
        requests, answers = self.process.stdin, self.process.stdout
        assert requests is not None
        assert answers is not None
        with killed_after(self.process, SECONDS) as overdue:
            try:
                send(requests, head, arrays)
                return receive(answers)
            except (OSError, EOFError) as error:
                if overdue.is_set():
                    raise late(SECONDS) from None
                raise self._death() from error
            except ValueError as error:
                raise file_process.unreadable(self.path, self.who, error) from error

    def _death(self) -> Exception:
        try:
            code = self.process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return late(SECONDS)
        return death(code or 1, self.report, self.log, self.memory_mb)


class _Server:
    """The child's side: one file in one runtime, loaded when it is first asked for."""

    def __init__(self, runtime: Runtime, path: Path) -> None:
        self.runtime, self.path = runtime, path
        self.sessions: dict[int, Any] = {}
        self.readers: dict[tuple[str, ...], Reader] = {}

    def answer(self, head: Mapping[str, Any], arrays: Arrays) -> Message:
        if head["do"] == "read":
            names = tuple(head["names"])
            if names not in self.readers:  # the last one is kept: cases ask one after the other
                self.readers = {names: self.runtime.reader(self.path, names)}
            return {}, self.readers[names](arrays)
        if head["do"] == "load":
            _load(self.runtime, self.path)
            return {}, {}
        threads = int(head["threads"])
        if threads not in self.sessions:
            self.sessions = {threads: self.runtime.open(self.path, threads=threads)}
        session = self.sessions[threads]
        if head["do"] == "open":
            told = {"signature": to_json(session.signature), "precision": session.precision}
            return told, {}
        return {}, session.run(arrays)


def _load(runtime: Runtime, path: Path) -> None:
    """A file whose sizes are free cannot be opened as it is, and is loaded all the same."""
    try:
        runtime.open(path)
    except RefusedError:
        raise
    except InputError:
        return


def serve(server: _Server, requests: IO[bytes], answers: BinaryIO) -> None:
    """Answer until the requests end."""
    while True:
        try:
            request = receive(requests)
        except EOFError:
            return
        head, arrays = server.answer(*request)
        for name, array in arrays.items():
            if array.dtype.kind not in NUMBERS:
                raise InputError(f"{server.path}: '{name}' is {array.dtype}: not numbers")
        send(answers, head, arrays)


def main(arguments: list[str]) -> None:
    """The child."""
    path, row = arguments
    with answering() as answers:
        serve(_Server(load_row(row), Path(path)), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main(sys.argv[1:])
