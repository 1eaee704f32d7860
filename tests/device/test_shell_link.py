"""A link to a shell, here one on this machine: how it opens, and odd ends of a command."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import assert_nothing_of

from tinyml.core.errors import DeviceError
from tinyml.device.shell_link import ShellLink, open_guard

# What a server does: a session for each command.
CLIENT = ("setsid", "--wait", "sh", "-c")


@contextmanager
def opened(*folders: str | Path, client: tuple[str, ...] = CLIENT) -> Iterator[ShellLink]:
    words = shlex.join(map(str, folders))
    with open_guard("board", client, words, DeviceError) as (guard, folder):
        yield ShellLink("board", "device", "", folder, client, guard)


def failure(*folders: str | Path, client: tuple[str, ...] = CLIENT) -> DeviceError:
    with pytest.raises(DeviceError) as caught, opened(*folders, client=client):
        pass
    return caught.value


def test_a_shell_that_prints_when_it_starts(tmp_path: Path) -> None:
    error = failure(tmp_path, client=("sh", "-c", 'printf welcome; exec sh -c "$0"'))
    assert error.message == "board: its shell prints 'welcome' before each command's output"
    assert list(tmp_path.iterdir()) == []


def test_what_a_shell_prints_that_lets_no_user_in() -> None:
    error = failure(client=("sh", "-c", "echo not available; exit 1"))
    assert "not available" in error.message


def test_the_first_folder_that_can_be_used_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with opened(tmp_path / "file" / "in it", tmp_path / "good one") as link:
        assert Path(link.folder).parent == tmp_path / "good one"
    assert "Not a directory" in failure(tmp_path / "file" / "in it").message


def test_a_command_that_is_killed_with_its_shell(tmp_path: Path) -> None:
    with opened(tmp_path) as link, pytest.raises(DeviceError) as caught:
        link.run(["sh", "-c", "kill -9 $PPID"], timeout_s=60)
    assert caught.value.message == "running sh: it was killed on board"
    assert_nothing_of(Path(link.folder))


def test_what_a_command_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    with opened(tmp_path) as link:
        done = link.run(["sh", "-c", "sleep 600 & exit 3"], timeout_s=60)
    assert (done.code, done.stderr) == (3, "")
    assert_nothing_of(Path(link.folder))


def test_a_machine_that_lacks_a_tool(tmp_path: Path) -> None:
    for name in ("cat", "mkdir", "mktemp", "rm", "sh", "sleep"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    client = ("env", f"PATH={tmp_path}", shutil.which("setsid") or "", *CLIENT[1:])
    with opened(tmp_path, client=client) as link, pytest.raises(DeviceError) as caught:
        link.push(Path(__file__), "file")
    assert "sha256sum" in caught.value.message
