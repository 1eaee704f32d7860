from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tinyml.device.emulated import EmulatedLink
from tinyml.device.local import LocalLink


def test_a_runner_starts_each_command_in_the_links_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_ONLY", "1")
    folder = tmp_path / "board"
    folder.mkdir()
    link = EmulatedLink(LocalLink(folder), "emulated cpu", ("env", "-u", "HOST_ONLY"), "python3")
    (tmp_path / "here").write_text("input")
    link.push(tmp_path / "here", "there")
    code = (
        "import os; open('back', 'w').write(open('there').read() + str('HOST_ONLY' in os.environ))"
    )
    done = link.run([sys.executable, "-c", code], timeout_s=60)
    assert (done.code, done.stderr) == (0, "")
    link.pull("back", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "inputFalse"
    assert (link.name, link.label) == ("emulated cpu", "emulated")
