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

from tinyml.board_scripts import AGENT, agent
from tinyml.core.board_facts import BoardFacts
from tinyml.core.device import THIS_MACHINE
from tinyml.core.errors import DeviceError
from tinyml.core.files import sha256
from tinyml.device.agent import Agent, push_agent, read_facts
from tinyml.device.local import LocalLink, open_link


@pytest.fixture
def link(tmp_path: Path) -> LocalLink:
    return LocalLink(tmp_path, name="mypi")


def test_it_is_standard_library_that_python_3_7_parses() -> None:
    tree = ast.parse(AGENT.read_text("utf-8"), feature_version=(3, 7))
    names = {
        (own.names[0].name if isinstance(own, ast.Import) else own.module or "").partition(".")[0]
        for own in ast.walk(tree)
        if isinstance(own, ast.Import | ast.ImportFrom)
    }
    assert names <= sys.stdlib_module_names


def test_the_facts_of_this_machine() -> None:
    with open_link(THIS_MACHINE) as opened:
        found = read_facts(push_agent(opened))
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
    monkeypatch.setattr(agent, "read_text", lambda path: FILES.get(path, ""))
    found = agent.facts()
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
    del found["cpu_features"]
    assert BoardFacts(board="", system="", kernel="", arch="", cpu_parts=("0x41 0xd08",)).cpus == (
        "cortex-a72",
    )


def test_a_machine_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "read_text", lambda path: "")
    monkeypatch.setattr(agent.os, "confstr", lambda name: None)
    found = agent.facts()
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


def test_an_old_python_shows_its_facts_and_refuses_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(agent.sys, "version_info", (3, 7, 3))
    assert agent.main(["hash", str(AGENT)]) == 1
    refused = json.loads(capsys.readouterr().out)
    assert "tinyml needs 3.9 or newer" in refused["error"]
    assert "--python PATH" in refused["hint"]
    assert agent.main(["facts"]) == 0


def _python(folder: Path, script: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 127", "mypi has no Python: .*/python cannot be started"),
        ("echo Traceback >&2; echo 'SyntaxError: x' >&2; exit 1", "agent.py ended 1: SyntaxError"),
        ("echo '{}'", "agent.py printed no result"),
        ("kill -9 $$", r"agent.py was killed by signal 9 \(SIGKILL\)"),
        ("""echo '{"agent_sha256": "0"}'""", "is not the file that was copied there"),
    ],
)
def test_a_board_on_which_it_does_not_run(
    link: LocalLink, tmp_path: Path, script: str, message: str
) -> None:
    there = push_agent(replace(link, python=_python(tmp_path, script)))
    with pytest.raises(DeviceError, match=message):
        there.call("facts")


def test_of_several_who_take_a_free_lock_one_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYML_LOCK", str(tmp_path / "lock"))

    def take(number: int) -> bool:
        command = [sys.executable, "-S", str(AGENT), "lock", "", f"{number}"]
        return bool(json.loads(subprocess.run(command, stdout=-1, check=True).stdout)["took"])

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(take, range(4))) == [False, False, False, True]
    assert agent.lock()["text"] in "0123"
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o666


def test_the_lock_changes_only_from_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYML_LOCK", str(tmp_path / "lock"))
    assert agent.lock()["text"] == ""
    assert agent.lock("", "longer text")["took"]
    assert not agent.lock("", "other")["took"]
    assert agent.lock("longer text", "ü")["took"]
    assert agent.lock()["text"] == "ü"
    assert agent.lock("ü", "")["took"]
    assert (tmp_path / "lock").read_bytes() == b""


def test_a_lock_that_is_not_a_file_of_its_own_is_refused(
    link: LocalLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("link", "."):
        monkeypatch.setenv("TINYML_LOCK", str(tmp_path / name))
        with pytest.raises(DeviceError, match="mypi: ") as got:
            Agent(link, str(AGENT)).call("lock", "", "x")
        assert "sudo rm" in got.value.hint
    assert (tmp_path / "target").read_bytes() == b""
