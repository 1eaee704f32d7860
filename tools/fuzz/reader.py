"""Reads broken files one after the other as a command does, a line for each.

    python reader.py SEEDS SEED FIRST STOP

``NUMBER read``, ``NUMBER refused``, ``NUMBER died`` or ``NUMBER finding WHAT``. A command starts a
child for each file (`tinyml.runtimes.file_read`); here it is a fork, which takes a thousandth of
the time. What the child's end tells the user is made by the same code.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mutate
import own_files
from seeds import DATA

from tinyml.core import bundle as bundles
from tinyml.core.child_errors import death, report
from tinyml.core.errors import TinymlError
from tinyml.core.target import find_target
from tinyml.core.typed_json import from_json, parse_json, to_json
from tinyml.modelfile.read import cut_file
from tinyml.runtimes.file_process import naming
from tinyml.runtimes.file_read import READERS, WHO, FileReport

MEMORY_MB = 512
SECONDS = 5
LONGEST_MESSAGE = 600
TARGET = json.dumps(to_json(find_target("rpi4")))


@dataclass(frozen=True, slots=True)
class Outcome:
    """``word`` as printed; ``report``: what was read; ``message``: of an error."""

    word: str
    report: FileReport | None = None
    message: str = ""


def main(arguments: list[str]) -> None:
    folder, seed, first, stop = Path(arguments[0]), *map(int, arguments[1:])
    seeds = sorted(p for p in folder.iterdir() if p.suffix in mutate.OF_SUFFIX)
    scratch = Path(tempfile.mkdtemp(dir=folder))
    for name in (DATA, bundles.CARD, bundles.LABELS):
        shutil.copy(folder / name, scratch)
    (scratch / "link.bin").symlink_to("/etc/hostname")
    for path in seeds:
        shutil.copy(path, scratch)
        whole = _judge(scratch / path.name)
        assert whole == "read", f"the seed {path.name}: {whole}"
    print("ready", flush=True)
    for number in range(first, stop):
        name, data = mutate.mutated(seeds, seed, number)
        path = scratch / name
        path.write_bytes(data)
        print(number, _judge(path), flush=True)
        path.unlink()


def _judge(path: Path) -> str:
    """What reading ``path``, and a model file's cutting, tells the user: the worse of both."""
    if own := own_files.READERS.get(path.stem.partition("-")[0]):
        found = _in_a_fork(path, lambda: own(path), path.parent)
        return f"finding {found.message}" if found.word == "died" else found.word
    first = _in_a_fork(path, lambda: to_json(READERS["summary"](path, TARGET)))
    if first.word.startswith("finding"):
        return first.word
    outputs = first.report.summary.outputs if first.report else ()
    name = outputs[0].name if outputs else "y"
    out = path.parent / "cut"
    second = _in_a_fork(path, lambda: list(cut_file(path, name, out)))
    return second.word if second.word.startswith("finding") else first.word


def _in_a_fork(path: Path, read: Callable[[], object], named: Path | None = None) -> Outcome:
    """The child's answer or end, as `tinyml.runtimes.file_process` reports it.

    ``named``: what an error has to name, if not the file.
    """
    answer, log, reported = (path.parent / name for name in ("answer", "log", "reported"))
    reported.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _child(read, answer, log, reported)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        error = _error(path, code, log, reported)
        is_line = len(error.message) <= LONGEST_MESSAGE and "\n" not in error.message
        if error.exit_code != 3 or not is_line or str(named or path) not in error.message:
            return Outcome(f"finding exit code {error.exit_code}: {error.message[:200]!r}")
        return Outcome("died" if WHO in error.message else "refused", message=error.message)
    try:
        data = parse_json(answer.read_bytes(), what=f"{path}")
        report = from_json(FileReport, data) if isinstance(data, dict) else None
    except TinymlError as error:  # the parent gives this up as an answer that is not whole
        return Outcome("died") if str(path) in error.message else Outcome(f"finding {error}")
    return Outcome("read", report)


def _error(path: Path, code: int, log: Path, reported: Path) -> TinymlError:
    """What a command raises for a child that ended with ``code`` while it read ``path``."""
    try:
        with naming(path, WHO):
            raise death(code, reported, log, MEMORY_MB)
    except TinymlError as error:
        return error


def _child(read: Callable[[], object], answer: Path, log: Path, reported: Path) -> None:
    """Never returns; ends as a child of `tinyml.core.subprocesses` does."""
    code = 1
    try:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        _limit()
        answer.write_text(json.dumps(read()))
        code = 0
    except Exception as error:
        code = report(reported, error)
    finally:
        os._exit(code)


def _limit() -> None:
    """`MEMORY_MB` more address space than what lies there already, and `SECONDS` of work."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    size = pages * os.sysconf("SC_PAGE_SIZE") + (MEMORY_MB << 20)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(sys.argv[1:])
