"""A board with the facts that a test gives it; all else it does as this machine does."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from own_link import use_link

from tinyml.core.board_facts import BoardFacts
from tinyml.core.device import Device
from tinyml.core.typed_json import to_json
from tinyml.device.local import LocalLink

PI4 = BoardFacts(
    board="Raspberry Pi 4 Model B Rev 1.4",
    soc="bcm2711",
    system="Debian GNU/Linux 12 (bookworm)",
    release="bookworm",
    kernel="6.6.20+rpt-rpi-v8",
    arch="aarch64",
    libc="glibc 2.36",
    bits=64,
    python="3.11.2",
    python_path="/usr/bin/python3",
    has_venv=True,
    page_kib=4,
    home="/home/pi",
    disk_free_mb=9000,
    memory_mb=1845,
    memory_free_mb=1500,
    cores=4,
    max_khz=(1800000, 1800000, 1500000, 1500000),
    cpu_parts=("0x41 0xd08",),
    cpu_features=("asimd", "crc32", "fp"),
    packages={"ai-edge-litert": "2.3.0", "numpy": "2.4.6", "onnxruntime": "1.32.0"},
    boot_id="b1",
)


@dataclass(slots=True)
class FakeBoard:
    """``facts`` are what its agent reports; ``opened``: the devices that were reached."""

    folder: Path
    facts: BoardFacts
    opened: list[Device]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def link(self, device: Device) -> LocalLink:
        """Its Python prints the facts, and runs what else it is given."""
        python = self.folder / "python"
        (self.folder / "facts.json").write_text(json.dumps(to_json(self.facts)))
        own, real = shlex.quote(str(self.folder)), shlex.quote(sys.executable)
        python.write_text(
            f'#!/bin/sh\ncase "$*" in *" facts") exec cat {own}/facts.json; esac\n'
            f'exec {real} -S "$@"\n'
        )
        python.chmod(0o755)
        (self.folder / "link").mkdir(exist_ok=True)
        chosen = device.python or str(python)
        return LocalLink(self.folder / "link", device.name, "device", chosen)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    """A Raspberry Pi 4 that is ready, and the only one that ssh reaches."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "board"
    (folder / "home").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("TINYML_LOCK", str(folder / "lock"))
    fake = FakeBoard(folder, PI4, [])

    @contextmanager
    def open_link(device: Device) -> Iterator[LocalLink]:
        fake.opened.append(device)
        yield fake.link(device)

    use_link(monkeypatch, "ssh", open_link)
    return fake
