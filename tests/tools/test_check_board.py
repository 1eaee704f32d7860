from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from check_board import __main__ as command
from check_board.board_check import LATE, BoardCheck, CheckedFile, check_board
from check_board.text import board_text

from tinyml.core.bundle import StageParity
from tinyml.core.errors import DeviceError
from tinyml.core.target import Target, find_target
from tinyml.pipeline.verify_on_link import FileOnLink


def a_file(error: float = 1e-6, **changes: object) -> FileOnLink:
    verdict = "pass" if error < 1e-4 else "fail"
    row = StageParity("litert+xnnpack", "sample", "y", verdict, "engine", error, 1e-4, 100.0)
    given = {"version": "2.3.0", "rows": (row,), **changes}
    return FileOnLink("net-fp32.tflite", "fp32", "litert", **given)  # type: ignore[arg-type]


def a_board(*files: CheckedFile, **changes: str) -> BoardCheck:
    return BoardCheck("rpi4", "bookworm", "cortex-a72", "3.11", files, **changes)


def test_the_table_is_labelled_emulated_and_has_no_time() -> None:
    lines = board_text(a_board(CheckedFile(a_file(), 1234567))).splitlines()
    assert lines[0] == "rpi4, bookworm, emulated: cortex-a72, Python 3.11, litert 2.3.0"
    assert lines[1].split() == ["file", "verdict", "error", "bound", "SQNR", "dB", "instructions"]
    row = ["net-fp32.tflite", "pass", "1.00e-06", "1.00e-04", "100.0", "1,234,567"]
    assert lines[2].split() == row


def test_a_file_that_fails_there_is_shown_with_its_reason() -> None:
    failed = a_file(rows=(), version="", failure=DeviceError("killed by signal 4 (SIGILL)"))
    board = a_board(CheckedFile(failed))
    assert not board.passes
    *_, row, reason = board_text(board).splitlines()
    assert "failed" in row
    assert reason == "  net-fp32.tflite: killed by signal 4 (SIGILL)"


def test_a_system_that_the_target_lacks_is_skipped_with_those_it_has() -> None:
    def report(text: str) -> None:
        raise AssertionError(text)

    found = check_board(find_target("rpi5"), "bullseye", [], report)
    assert found.passes
    wanted = "rpi5, bullseye: skipped: the target has no such system, only bookworm, trixie"
    assert board_text(found) == wanted


def test_a_missing_package_skips_every_board(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command.main([]) == 0
    said = capsys.readouterr().out
    assert said.startswith("every board: skipped: an emulated board needs qemu-aarch64")
    assert "apt-get install qemu-user" in said


def test_after_the_minutes_no_board_is_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "check", lambda _: None)
    given = ["--minutes", "0", "--boards", "rpi4", "--bundles", "mine"]
    assert command.main(given) == 1
    assert "rpi4, bookworm: skipped: no time was left; run it again" in capsys.readouterr().out


def test_the_files_that_were_checked_before_the_time_was_over_are_shown() -> None:
    text = board_text(a_board(CheckedFile(a_file(), 1), skipped=LATE))
    assert "net-fp32.tflite  pass" in text
    assert "\n  the other files: skipped: no time was left" in text


@pytest.mark.parametrize(("error", "code"), [(1e-6, 0), (1e-3, 5)])
def test_a_row_that_differs_is_exit_5(
    error: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def checked(
        target: Target, system: str, bundles: list[Path], report: Callable[[str], None], _: float
    ) -> BoardCheck:
        differs = target.name == "rpi5" and system == "bookworm"
        file = a_file(error if differs else 0.0)
        return BoardCheck(target.name, system, target.cpu, "3.11", (CheckedFile(file),))

    monkeypatch.setattr(command, "check", lambda _: None)
    monkeypatch.setattr(command, "check_board", checked)
    assert command.main(["--bundles", "mine"]) == code
    titles = [line for line in capsys.readouterr().out.splitlines() if ", emulated: " in line]
    assert [title.partition(", emulated")[0] for title in titles] == [
        "rpi4, bookworm",
        "rpi4, bullseye",
        "rpi5, bookworm",
        "rpi5, bullseye",
    ]
