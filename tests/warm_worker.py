"""The processes of an export's steps, kept for all tests of this process.

Importing torch and the converters is most of a small export. Here one process is asked for the
steps of all exports, one after another, and another, which has imported torch alone, is forked
for what runs a user's code. Exports through the command line in a process of its own
(`command_line.tinyml_process`) start theirs, as users' do; both make the same bytes
(`tests/pipeline/test_export_pipeline.py`).
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence

from tinyml.core.process import child_environment, machine_memory_mb
from tinyml.core.subprocesses import Child
from tinyml.core.worker import Worker

CHANGES = "PYTEST_CURRENT_TEST"
MEASURED = "COVERAGE_PROCESS_CONFIG"


class WarmWorker(Worker):
    """As `Worker`, of processes that stay. One with a memory limit of its own is cold."""

    def run(self, steps: Sequence[Child], timeout_s: float) -> None:
        if self._is_cold():
            super().run(steps, timeout_s)
        else:
            _kept("steps").run(steps, timeout_s)

    def run_apart(
        self, step: Child, timeout_s: float, *, imports: str, meanwhile: Sequence[str] = ()
    ) -> None:
        if self._is_cold():
            super().run_apart(step, timeout_s, imports=imports, meanwhile=meanwhile)
        elif not _kept("forks")._forked(step, timeout_s, imports, ()):
            self._run_alone(step, timeout_s)

    def _is_cold(self) -> bool:
        return self.memory_mb != machine_memory_mb()


def warm() -> Worker:
    """For the steps of a test that does not export."""
    return WarmWorker(machine_memory_mb())


_KEPT: dict[str, tuple[object, Worker]] = {}


def _kept(kind: str) -> Worker:
    """The process for ``kind``, a new one where the folder or the environment is another."""
    wanted = (os.getcwd(), {**child_environment({}), CHANGES: ""})
    started, worker = _KEPT.get(kind, (None, None))
    if worker is None or started != wanted:
        if worker is not None:
            worker.close()
        worker = Worker(machine_memory_mb())
        _KEPT[kind] = (wanted, worker)
    return worker


@atexit.register
def end() -> None:
    """End all processes, for the end of the tests too; coverage writes at a process's own end."""
    while _KEPT:
        worker = _KEPT.popitem()[1][1]
        if MEASURED in os.environ and worker._process is not None:
            worker._process.communicate()
        worker.close()
