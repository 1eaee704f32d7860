"""Errors of ours between processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tinyml.core import child_errors
from tinyml.core.child_errors import death, error_from_json, error_to_json, last_line, report
from tinyml.core.errors import (
    InternalError,
    MachineError,
    MissingExtraError,
    TinymlError,
    UsageError,
)


class _OwnError(UsageError):
    """A subclass that the other side does not know."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MachineError("full", hint="free some"), MachineError),
        (MissingExtraError("onnx", "onnx"), MissingExtraError),
        (_OwnError("no such thing"), UsageError),
    ],
)
def test_an_error_comes_out_as_it_was(error: TinymlError, kind: type[TinymlError]) -> None:
    found = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert type(found) is kind
    assert vars(found) == vars(error)
    assert found.exit_code == error.exit_code


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"kind": "InputError", "fields": {}},
        {"kind": "contextlib", "fields": {"message": "a", "hint": ""}},
        {"kind": "Iterator", "fields": {"message": "a", "hint": ""}},
        {"kind": "InputError", "fields": {"message": 1, "hint": ""}},
    ],
)
def test_what_is_not_an_error_of_ours_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        error_from_json(data)


def test_of_a_log_without_end_the_end_alone_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_errors, "END_BYTES", 20)
    log = tmp_path / "log"
    log.write_text("é" * 100 + "\n  last words", encoding="utf-8")
    assert last_line(log).strip("\ufffd") == "é" * 3


def test_a_fault_that_a_child_notices_comes_out_with_its_traceback(tmp_path: Path) -> None:
    reported = tmp_path / "report.json"
    try:
        raise InternalError("the file has no 'y'")
    except InternalError as error:
        code = report(reported, error)
    found = death(code, reported, tmp_path / "log", 0)
    assert isinstance(found, InternalError)
    assert found.message == "the file has no 'y'"
    assert "test_child_errors.py" in found.trace
    assert str(found).startswith(f"{found.message}\n\nIn that process:\nTraceback")
