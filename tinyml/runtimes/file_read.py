"""What a third-party model file holds, read in a child process and never here.

    python -m tinyml.runtimes.file_read MODEL READER ARGUMENTS...

The child runs one of `READERS` and answers with JSON, of which every field is checked. Files that
we have just written are read directly, by the functions behind these.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tinyml.core.diagnosis import Finding
from tinyml.core.errors import InputError
from tinyml.core.subprocesses import Limits, answering
from tinyml.core.target import Target
from tinyml.core.typed_json import from_json, parse_json, to_json
from tinyml.modelfile.onnx_edit import name_nodes
from tinyml.modelfile.onnx_file import MissingDataError
from tinyml.modelfile.operator_list import ListedOperator, list_operators
from tinyml.modelfile.read import cut_file
from tinyml.modelfile.sparse_storage import SparseTensor, read_sparse
from tinyml.modelfile.summary import Summary, summarize
from tinyml.runtimes import file_process
from tinyml.runtimes.lint import lint
from tinyml.runtimes.sparse_support import SparseUse, sparse_use

WHO = "its reader"
SECONDS = 300.0
# What Python, the packages and a small model take, and how often a model lies in memory.
LEAST_MB = 3072
COPIES = 16
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileReport:
    """``lint``: for a target, or what no target is needed for; ``sparse``: of a .tflite."""

    summary: Summary
    lint: tuple[Finding, ...]
    sparse: tuple[SparseTensor, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """The inputs that a cut file still takes."""

    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OperatorList:
    """The operators of the main graph in their order."""

    operators: tuple[ListedOperator, ...]


def read_report(path: Path, target: Target | None = None) -> FileReport:
    """`report_of`, in this process."""
    summary = summarize(path)
    try:
        found = lint(path, target)
    except MissingDataError as error:  # what needs no weight's values is shown all the same
        found = (Finding("missing_data", path.name, error.message, error.hint or ""),)
    return FileReport(summary, found, read_sparse(path) if path.suffix == ".tflite" else ())


def _report(path: Path, target: str) -> FileReport:
    known = from_json(Target, parse_json(target, what="the target")) if target else None
    return read_report(path, known)


def _sparse_use(path: Path, runtime: str, version: str, arch: str, avx: str) -> SparseUse:
    return sparse_use(path, runtime, version, arch, avx=avx == "avx")


def _cut(path: Path, tensor: str, out: str) -> Cut:
    return Cut(cut_file(path, tensor, Path(out)))


def _operators(path: Path, named: str) -> OperatorList:
    if named:
        name_nodes(path, Path(named))
    return OperatorList(list_operators(path))


READERS: Mapping[str, Callable[..., Any]] = {
    "summary": _report,
    "sparse_use": _sparse_use,
    "cut": _cut,
    "operators": _operators,
}


def report_of(path: Path, target: Target | None = None) -> FileReport:
    """What the file at ``path`` holds, and what is slow, large or fragile in it for ``target``.

    Raises `InputError` for a file that is not a whole .onnx or .tflite, or that its reader dies of
    or does not end on; `MissingExtraError` without its reader.
    """
    described = json.dumps(to_json(target)) if target else ""
    return _read(FileReport, path, "summary", described)


def sparse_use_of(path: Path, runtime: str, version: str, arch: str, *, avx: bool) -> SparseUse:
    """As `tinyml.runtimes.sparse_support.sparse_use`."""
    arguments = (runtime, version, arch, "avx" if avx else "")
    return _read(SparseUse, path, "sparse_use", *arguments)


def cut_of(path: Path, tensor: str, out: Path) -> tuple[str, ...]:
    """As `tinyml.modelfile.read.cut_file`: ``out`` is written by the child."""
    return _read(Cut, path, "cut", tensor, str(out)).inputs


def operators_of(path: Path, named: Path | None = None) -> tuple[ListedOperator, ...]:
    """As `tinyml.modelfile.operator_list.list_operators`.

    ``named``: where the child writes an .onnx file with a name for every node.
    """
    return _read(OperatorList, path, "operators", str(named or "")).operators


def _read(kind: type[T], path: Path, reader: str, *arguments: str) -> T:
    size_mb = (path.stat().st_size if path.is_file() else 0) >> 20
    limits = Limits(SECONDS, LEAST_MB + COPIES * size_mb)
    answer = file_process.answer_of(__name__, [str(path), reader, *arguments], path, WHO, limits)
    try:
        return from_json(kind, parse_json(answer, what="it"))
    except InputError as error:
        raise file_process.unreadable(path, WHO, error) from error


def main(arguments: list[str]) -> None:
    """The child."""
    path, reader, *more = arguments
    with answering() as answers:
        found = READERS[reader](Path(path), *more)
        answers.write(json.dumps(to_json(found)).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
