from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from emulated_board import switched_on
from test_device import __main__ as command
from test_device import tutorials
from test_device.stages import BOARD_STAGES, PHONE_STAGES, Stage
from test_device.workplace import StageFailedError, workplace


def test_a_machine_without_adb_skips_every_board(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command.main([]) == 0
    assert "every board: skipped: an emulated board needs" in capsys.readouterr().out


def test_a_kernel_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        release = "6.1.0-18-amd64"

    monkeypatch.setattr(switched_on, "check", lambda _: None)
    monkeypatch.setattr(switched_on.os, "uname", Old)
    assert switched_on.why_not() == "Linux 6.1.0-18-amd64: private binary formats need 6.7 or newer"


def test_a_stage_that_fails_is_shown_with_its_reason() -> None:
    def failing(_: object, precision: str) -> str:
        raise StageFailedError(f"tinyml bench: exit 4, not 0: {precision}")

    stages = [Stage("device add", lambda _: "recognised"), Stage("bench", failing, each=True)]
    rows = list(command._lane("Board", None, stages, ["fp32", "int8"]))
    assert [bool(row.failure) for row in rows] == [False, True, True]
    shown = command._summary(rows, 60)
    assert "Board, emulated:" in shown
    assert "bench, int8: tinyml bench: exit 4, not 0: int8" in shown
    assert "1 of 3 stages passed in 1.0 minutes; no time of a board is in it" in shown


def test_nothing_runs_after_a_first_stage_that_fails() -> None:
    def failing(_: object) -> str:
        raise AssertionError

    stages = [Stage("device add", failing), Stage("bench", lambda _: "timed")]
    (row,) = command._lane("Board", None, stages, [])
    assert row.failure == "it is not as it should be"


def test_every_stage_describes_itself() -> None:
    assert all(own.run.__doc__ for own in (*BOARD_STAGES, *PHONE_STAGES))


def test_the_commands_of_a_page_run_with_other_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    first, other = "# a remark\necho one \\\n  SERIAL > out\n", "```\nfalse\n```\n"
    text = f"```sh\n{first}```\ntext\n{other}```sh\ntest -f out\n```\n"
    (tmp_path / "docs" / "page.md").write_text(text)
    monkeypatch.setattr(tutorials, "ROOT", tmp_path)
    place = workplace(tmp_path / "home")
    place.environment["PATH"] = f"{place.folder / 'bin'}:{Path(shutil.which('sh') or '').parent}"
    seen = tutorials.run_page(place, "page.md", tmp_path, {"SERIAL": "two"})
    assert seen.startswith("2 commands of ")
    assert (tmp_path / "out").read_text() == "one two\n"
    (tmp_path / "docs" / "page.md").write_text("```sh\nls nothing\n```\n")
    with pytest.raises(StageFailedError, match=r"page\.md: ls nothing: exit 2"):
        tutorials.run_page(place, "page.md", tmp_path, {})
