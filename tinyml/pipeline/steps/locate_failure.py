"""A program that a writer refuses -> the error, with the smallest part that causes it.

``python -m tinyml.pipeline.steps.locate_failure FORMAT FOLDER`` is the child that searches: FOLDER
is the `Workspace` that holds the program, and where `tinyml.export.capture.bisect_program` leaves
what it tried and found.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from tinyml.core.errors import ExportError, InternalError, MachineError, TinymlError
from tinyml.core.process import machine_memory_mb
from tinyml.core.subprocesses import run_child
from tinyml.core.typed_json import read_json
from tinyml.export.capture.failure_location import UNKNOWN, FailureLocation, reason, refusal
from tinyml.pipeline.formats import named
from tinyml.pipeline.model_sources.workspace import Workspace

MODULE = "tinyml.pipeline.steps.locate_failure"
# A converter that is killed by one part is started again without it, so often at most.
RESTARTS = 6


def locate_conversion_failure(
    error: ExportError,
    fmt: str,
    work: Workspace,
    *,
    budget_s: float,
    memory_mb: int | None = None,
) -> TinymlError:
    """``error`` of ``fmt``'s writer, with the smallest part of the program that causes it.

    The search converts parts of the program in ``work`` in a child process for ``budget_s``
    seconds at most; what the converter says goes to a log there. A part that kills the
    converter is the location. Without a result it is ``error`` itself, with the log in its
    hint. ``memory_mb`` limits the child; default: the machine's memory.
    """
    memory_mb = memory_mb or machine_memory_mb()
    log = work.log(f"bisect_{fmt}")
    work.forget_failure(fmt)
    complete = _search([fmt, str(work.folder)], log, budget_s, memory_mb)
    if not work.failure(fmt).exists():
        return ExportError(error.message, hint=f"{UNKNOWN}; the whole log: {log}")
    location = read_json(FailureLocation, work.failure(fmt))
    if not location.message:
        location = replace(location, message=reason(error.message))
    return refusal(named(fmt).refusal, location, log, cut_short=not complete)


def _search(arguments: list[str], log: Path, budget_s: float, memory_mb: int | None) -> bool:
    """Whether the search came to its end."""
    deadline = time.monotonic() + budget_s
    for restart in range(RESTARTS):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            run_child(MODULE, arguments, log=log, timeout_s=left, memory_mb=memory_mb)
        except MachineError:
            if log.exists():
                shutil.copy(log, log.with_name(f"{log.stem}-{restart + 1}{log.suffix}"))
            continue
        except (TinymlError, InternalError):  # the error that led here is shown all the same
            return False
        return True
    return False


def main(arguments: list[str]) -> None:
    """The child: search, and leave the answer in the folder."""
    import torch
    from torch.fx import GraphModule

    from tinyml.export.capture.bisect_program import Search

    fmt, folder = arguments
    work = Workspace(Path(folder))
    root = work.load_program().program.module()
    assert isinstance(root, GraphModule)
    with torch.no_grad():
        Search(named(fmt).write, root, work.tried(fmt), work.failure(fmt)).smallest()


if __name__ == "__main__":
    main(sys.argv[1:])
