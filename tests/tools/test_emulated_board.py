from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from emulated_board import board, host_tools, parts
from emulated_board.board import count, open_board
from emulated_board.debian import PACKAGES
from emulated_board.processor import PARTS, cpu_info, features
from emulated_board.software import of_system, with_litert

from tinyml.core.errors import DeviceError, MachineError, UsageError
from tinyml.core.target import Target, all_targets, find_target

SOFTWARE = with_litert("2.3.0")
BOARDS = [target for target in all_targets().values() if target.link == "ssh"]


def test_what_emulation_lacks_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="qemu-aarch64") as told:
        parts.debian(SOFTWARE)
    assert "apt-get install qemu-user" in told.value.hint


def test_an_unknown_processor_is_told_with_the_known_ones() -> None:
    with (
        pytest.raises(UsageError, match="'cortex-m4'") as told,
        open_board("cortex-m4", SOFTWARE),
    ):
        raise AssertionError("no board of that kind")
    assert "cortex-a72" in told.value.hint


@pytest.mark.parametrize("target", BOARDS, ids=lambda target: target.name)
def test_the_emulated_processor_has_the_features_of_the_target(target: Target) -> None:

    assert target.cpu in PARTS
    assert set(target.cpu_features) <= set(features(target.cpu))
    assert ("asimddp" in target.cpu_features) == ("asimddp" in cpu_info(target.cpu))


def test_a_system_decides_python_and_the_newest_wheels() -> None:
    own = of_system("bullseye", find_target("rpi4").systems["bullseye"])
    assert own.interpreter == "usr/bin/python3.9"
    assert own.wheels == ("ai-edge-litert==2.1.0", "onnxruntime==1.19.2")


def test_telemetry_of_onnxruntime_is_off_on_every_board(tmp_path: Path) -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in board._runner("cortex-a72", tmp_path)


def test_a_command_that_fails_is_told_by_its_last_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho first >&2\necho no space for this >&2\nexit 3\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="compiling the counter: no space for this"):
        board._plugin(tmp_path)


@pytest.mark.slow
def test_a_file_that_the_board_cannot_read_is_a_device_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"no model")
    with (
        open_board("cortex-a53", SOFTWARE) as link,
        pytest.raises(DeviceError, match=r"broken.tflite on emulated cortex-a53"),
    ):
        count(link, path)


def test_a_host_without_a_mirror_of_debian_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in host_tools.TO_RUN:
        tool = tmp_path / name
        tool.write_text("#!/bin/sh\necho http://mirror.example/ubuntu/\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(parts, "FOLDER", tmp_path / "boards")
    with pytest.raises(MachineError, match="names no mirror of Debian"):
        parts.debian(SOFTWARE)
    assert not os.listdir(tmp_path / "boards")


def test_a_part_is_made_once_and_again_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[str] = []

    def unpack(draft: Path, suite: str, packages: Sequence[str]) -> None:
        assert packages == PACKAGES
        made.append(suite)
        (draft / "half").touch()
        if len(made) == 1:
            raise DeviceError("no network")

    monkeypatch.setattr(parts, "FOLDER", tmp_path)
    monkeypatch.setattr(parts, "check", lambda _: None)
    monkeypatch.setattr(parts, "unpack_debian", unpack)
    with pytest.raises(DeviceError, match="no network"):
        parts.debian(SOFTWARE)
    assert not list(tmp_path.iterdir())
    assert parts.debian(SOFTWARE) == parts.debian(SOFTWARE)
    assert made == ["bookworm", "bookworm"]
