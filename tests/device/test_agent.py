"""The agent of a board: one file of the standard library, which any Python 3 parses."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from device_faults import record
from sources import imports

from tinyml.board_scripts import agent
from tinyml.board_scripts.agent import facts, lock
from tinyml.core.board_facts import BoardFacts
from tinyml.core.device import THIS_MACHINE
from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.files import sha256
from tinyml.device.agent import push_agent
from tinyml.device.local import LocalLink, open_link

FOLDER = Path(agent.__file__).parent


@pytest.fixture
def link(tmp_path: Path) -> LocalLink:
    return LocalLink(tmp_path, name="mypi")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_it_is_standard_library_that_python_3_7_parses(path: Path) -> None:
    names = imports(ast.parse(path.read_text("utf-8"), feature_version=(3, 7)))
    others = {name for name in names if not name.startswith("tinyml.board_scripts.agent.")}
    assert {name.partition(".")[0] for name in others} <= sys.stdlib_module_names


def test_the_facts_of_this_machine() -> None:
    with open_link(THIS_MACHINE) as opened:
        found = push_agent(opened).facts()
    assert found.bits == 64
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.packages["numpy"]
    assert (found.disk_free_mb or 0) > 0
    assert (found.cores or 0) > 0
    assert found.boot_id
    assert found.kernel


PI = """\
processor\t: 0
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU part\t: 0xd08

Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""
FILES = {
    "/proc/cpuinfo": PI,
    "/proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711",
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm',
    "/proc/meminfo": "MemTotal:  1000000 kB\nMemAvailable:  500000 kB",
}


def test_a_board_is_read_from_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "read_text", lambda path: FILES.get(path, ""))
    found = facts.facts()
    wanted = {
        "board": "Raspberry Pi 4 Model B Rev 1.4",
        "soc": "bcm2711",
        "system": "Debian GNU/Linux 12 (bookworm)",
        "release": "bookworm",
        "memory_mb": 976,
        "memory_free_mb": 488,
        "cpu_parts": ["0x41 0xd08"],
        "cpu_features": ["asimd", "cpuid", "crc32", "evtstrm", "fp"],
    }
    assert {name: found[name] for name in wanted} == wanted
    assert BoardFacts(board="", system="", kernel="", arch="", cpu_parts=("0x41 0xd08",)).cpus == (
        "cortex-a72",
    )


def test_a_machine_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "read_text", lambda path: "")
    monkeypatch.setattr(facts.os, "confstr", lambda name: None)
    found = facts.facts()
    assert (found["board"], found["soc"], found["memory_mb"]) == ("", "", None)


def test_hashes_are_those_of_the_files(link: LocalLink, tmp_path: Path) -> None:
    names = ["a b", "$(id) 'ü'\n"]
    for name in names:
        (tmp_path / name).write_text(name)
    paths = [str(tmp_path / name) for name in names]
    found = push_agent(link).call("hash", *paths)
    assert found["sha256"] == [sha256(Path(path)) for path in paths]
    with pytest.raises(DeviceError, match="mypi: hash: No such file or directory") as got:
        push_agent(link).call("hash", "nothing")
    assert got.value.exit_code == 4


def test_a_file_that_was_changed_there_is_not_started(link: LocalLink) -> None:
    there = push_agent(link)
    Path(there.program.path).write_bytes(b"other")
    with pytest.raises(ValidationError, match=r"mypi: .*agent.zip was changed there") as got:
        there.call("hash")
    names = {there.program.path: "agent.zip"}
    record(
        "copying files", "tampered agent", got.value, board="nothing", host="nothing", names=names
    )


def _python(folder: Path, script: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo not found >&2; exit 127", "mypi: Python cannot be started there: not found"),
        ("echo 'SyntaxError: x' >&2; exit 1", "mypi: the process ended 1: SyntaxError: x"),
        ("echo '{}'", "mypi: the agent printed no result"),
        ("kill -9 $$", r"mypi: the process was killed by signal 9 \(SIGKILL\)"),
    ],
)
def test_a_board_on_which_it_does_not_run(
    link: LocalLink, tmp_path: Path, script: str, message: str
) -> None:
    there = push_agent(replace(link, python=_python(tmp_path, script)))
    with pytest.raises(DeviceError, match=message):
        there.facts()


def test_of_several_who_take_a_free_lock_one_gets_it(
    link: LocalLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYML_LOCK", str(tmp_path / "lock"))
    path = push_agent(link).program.path

    def take(number: int) -> bool:
        command = [sys.executable, "-S", path, "lock", "", f"{number}"]
        return bool(json.loads(subprocess.run(command, stdout=-1, check=True).stdout)["took"])

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(take, range(4))) == [False, False, False, True]
    assert lock.lock()["text"] in "0123"
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o666


def test_the_lock_changes_only_from_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYML_LOCK", str(tmp_path / "lock"))
    assert lock.lock()["text"] == ""
    assert lock.lock("", "longer text")["took"]
    assert not lock.lock("", "other")["took"]
    assert lock.lock("longer text", "ü")["took"]
    assert lock.lock()["text"] == "ü"
    assert lock.lock("ü", "")["took"]
    assert (tmp_path / "lock").read_bytes() == b""


def test_a_lock_that_is_not_a_file_of_its_own_is_refused(
    link: LocalLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("link", "."):
        monkeypatch.setenv("TINYML_LOCK", str(tmp_path / name))
        with pytest.raises(DeviceError, match="mypi: ") as got:
            push_agent(link).call("lock", "", "x")
        assert "sudo rm" in got.value.hint
    assert (tmp_path / "target").read_bytes() == b""
