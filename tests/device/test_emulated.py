from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tinyml.core import registry
from tinyml.core.device import Device
from tinyml.device.link import Link


def test_a_runner_starts_each_command_in_the_links_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_ONLY", "1")
    board = Device(
        name="emulated cpu",
        link="emulated",
        target="rpi",
        python="python3",
        runner=("env", "-u", "HOST_ONLY"),
    )
    opened: AbstractContextManager[Link] = registry.load("link", board.link)(board)
    with opened as link:
        _assert_runs(link, tmp_path)


def _assert_runs(link: Link, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("input")
    link.push(tmp_path / "here", "there")
    code = (
        "import os; open('back', 'w').write(open('there').read() + str('HOST_ONLY' in os.environ))"
    )
    done = link.run([sys.executable, "-c", code], timeout_s=60)
    assert (done.code, done.stderr) == (0, "")
    link.pull("back", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "inputFalse"
    assert (link.name, link.label, link.python) == ("emulated cpu", "emulated", "python3")
