from __future__ import annotations

from pathlib import Path

import pytest
from emulated_board import root
from emulated_board.board import count, open_board

from tinyml.core.errors import DeviceError, MachineError, UsageError
from tinyml.core.target import all_targets

VERSION = "2.3.0"


def test_what_emulation_lacks_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="qemu-aarch64") as told:
        root.root(VERSION)
    assert "apt-get install qemu-user" in told.value.hint


def test_an_unknown_processor_is_told_with_the_known_ones() -> None:
    with (
        pytest.raises(UsageError, match="'cortex-m4'") as told,
        open_board("cortex-m4", VERSION),
    ):
        raise AssertionError("no board of that kind")
    assert "cortex-a72" in told.value.hint


def test_every_raspberry_pi_has_an_emulated_processor() -> None:
    boards = [target for target in all_targets().values() if target.link == "ssh"]
    assert boards
    assert {target.cpu for target in boards} <= set(root.PARTS)


@pytest.mark.parametrize(("cpu", "dot"), [("cortex-a72", False), ("cortex-a76", True)])
def test_only_a_processor_with_dot_products_says_so(cpu: str, dot: bool) -> None:
    assert ("asimddp" in root.cpu_info(cpu)) == dot


def test_a_command_that_fails_is_told_by_its_last_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho first >&2\necho no space for this >&2\nexit 3\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="compiling the counter: no space for this"):
        root.plugin(tmp_path)


@pytest.mark.slow
def test_a_file_that_the_board_cannot_read_is_a_device_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"no model")
    with (
        open_board("cortex-a53", VERSION) as link,
        pytest.raises(DeviceError, match=r"broken.tflite on emulated cortex-a53"),
    ):
        count(link, path)


def test_a_host_without_a_mirror_of_debian_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in root.NEEDS:
        tool = tmp_path / name
        tool.write_text("#!/bin/sh\necho http://mirror.example/ubuntu/\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TINYML_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MachineError, match="names no mirror of Debian"):
        root.root(VERSION)
    assert not list((tmp_path / "cache" / "boards").iterdir())
