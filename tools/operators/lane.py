"""The worker of an export's steps, kept by the process that exports rows."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from pathlib import Path

from tinyml.core.process import machine_memory_mb
from tinyml.core.subprocesses import Child
from tinyml.core.worker import Worker
from tinyml.export.facts import facts_of
from tinyml.pipeline.formats import all_formats

SHOWN = "--instrumented"


class RowWorker(Worker):
    """Converts a row once for each format: every precision starts from the same float32 file."""

    def __init__(self, memory_mb: int) -> None:
        super().__init__(memory_mb)
        self._folder_of_row = Path()
        self._writers = {known.writer: known.name for known in all_formats()}

    def begin(self, folder: Path) -> None:
        """Another row: its files are kept in ``folder``."""
        self._folder_of_row = folder

    def run(self, steps: Sequence[Child], timeout_s: float) -> None:
        for step in steps:
            if step.module in self._writers:
                self._convert(step, self._folder_of_row / self._writers[step.module], timeout_s)
            else:
                super().run([step], timeout_s)

    def _convert(self, step: Child, kept: Path, timeout_s: float) -> None:
        """Copy what ``step`` would write; arguments as of `conversion_child`."""
        program, names, *wanted = step.arguments[:4]
        made = [str(kept / "model"), str(kept / "facts.json")]
        shown = kept / "instrumented"
        if not kept.exists():
            kept.mkdir()
            arguments = (program, names, *made, SHOWN, str(shown))
            try:
                super().run([Child(step.module, arguments, step.log)], timeout_s)
            except BaseException:
                shutil.rmtree(kept)
                raise
        if SHOWN in step.arguments and shown.exists():
            out = step.arguments[step.arguments.index(SHOWN) + 1]
            made, wanted = [*made, str(shown)], [*wanted, out]
            if facts_of(shown).exists():
                made, wanted = [*made, str(facts_of(shown))], [*wanted, str(facts_of(Path(out)))]
        for source, target in zip(made, wanted, strict=True):
            shutil.copy(source, target)


@functools.cache
def worker() -> RowWorker:
    """One for all rows of this process; it ends with the process."""
    return RowWorker(machine_memory_mb() // 2)
