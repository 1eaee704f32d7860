"""Errors of ours between processes."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest

from tinyml.core import child_errors, errors
from tinyml.core.child_errors import death, error_from_json, error_to_json, last_line, report
from tinyml.core.errors import (
    ExportError,
    InternalError,
    MachineError,
    MissingExtraError,
    TinymlError,
    UsageError,
    machine_error,
    raise_refusal,
    refusal_in,
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


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    "error",
    [
        full_disk(),
        caused(ExportError("cannot be converted"), full_disk()),
        RuntimeError("[enforce fail] file in write mode: No space left on device"),
    ],
)
def test_a_full_disk_in_a_child_is_the_machines_fault(tmp_path: Path, error: Exception) -> None:
    scratch = tmp_path / f"tinyml-child-{16 * 'a'}"
    scratch.mkdir()
    code = child_errors.report(scratch / "report", error)
    found = child_errors.death(code, scratch / "report", scratch / "log", 0)
    assert isinstance(found, MachineError)
    assert found.message == f"no space left in {tmp_path}"
    assert "free some space" in found.hint


def test_a_child_that_has_no_space_to_report_in_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object, **__: object) -> None:
        raise full_disk()

    monkeypatch.setattr(Path, "write_text", write)
    code = child_errors.report(tmp_path / "report", ValueError("of another kind"))
    monkeypatch.undo()
    (tmp_path / "log").touch()
    found = child_errors.death(code, tmp_path / "report", tmp_path / "log", 0)
    assert isinstance(found, MachineError)
    assert found.message == f"no space left in {tmp_path}"


def test_of_a_copy_it_is_the_place_of_the_new_file_that_is_full() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/from/file", None, "/to/file")
    assert machine_error(error).message == "no space left in /to"


def test_of_two_disks_the_fuller_one_is_named_and_of_one_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error without a name may be about the folder that is written, or about $TMPDIR."""
    folder, temporary = tmp_path / "out", tmp_path / "tmp"
    left = {folder: (1, 500), temporary: (2, 10)}
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(temporary))
    monkeypatch.setattr(errors, "_space_left", left.__getitem__)
    nameless = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert machine_error(nameless, "", folder).message == f"no space left in {temporary}"
    left[folder] = (1, 0)
    assert machine_error(nameless, "", folder).message == f"no space left in {folder}"
    left.update({folder: (1, 500), temporary: (1, 499)})
    found = machine_error(nameless, "", folder)
    assert found.message == f"no space left in {folder}"
    assert "choose another folder" in found.hint


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOENT, errno.EINVAL, None])
def test_what_a_file_leads_to_is_its_own_fault(code: int | None) -> None:
    error = OSError("cannot be identified") if code is None else OSError(code, "x")
    assert refusal_in(error) is None
    raise_refusal(error, "reading")


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
