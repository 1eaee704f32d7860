"""What bundles need is installed on a board from wheels, without pip or network there."""

from __future__ import annotations

import platform
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Done
from device_faults import record
from fake_board import PI4, FakeBoard

from tinyml.board_scripts.agent.places import draft_of, point
from tinyml.board_scripts.agent.setup import unpack
from tinyml.core.board_facts import BoardFacts
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, MachineError
from tinyml.core.events import silent
from tinyml.device.agent import push_agent
from tinyml.device.local import LocalLink
from tinyml.pipeline.devices import wheel_files
from tinyml.pipeline.devices.inventory import read_devices, save_device
from tinyml.pipeline.devices.setup import copy_wheels, setup_device
from tinyml.pipeline.devices.wheel_files import download_wheels, python_tags, wheel_key

Cli = Callable[..., Done]
OWN = f"""\
board = "This machine"
arch = "{platform.machine()}"
cpu = "c"
memory_mb = 0
[systems.own]
python = "{sys.version_info[0]}.{sys.version_info[1]}"
numpy = "9.1"
runtimes = {{ litert = "9.2" }}
"""
RAISES = "raise ImportError('libx.so: wrong ELF class: ELFCLASS32')"
SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def write_wheel(folder: Path, package: str, version: str, module: str, text: str = "") -> Path:
    name = package.replace("-", "_")
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Name: {package}\nVersion: {version}\n")
        archive.writestr(module, text)
    return path


def write_wheels(folder: Path, facts: BoardFacts, wanted: Sequence[str]) -> None:
    assert wanted == ["numpy==9.1", "ai-edge-litert==9.2"]
    write_wheel(folder, "numpy", "9.1", "numpy/__init__.py")
    write_wheel(folder, "ai-edge-litert", "9.2", "ai_edge_litert/interpreter.py")


@pytest.fixture
def bare(board: FakeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    """This machine as the board ``mypi``, on which nothing is installed."""
    (tmp_path / "own.toml").write_text(OWN)
    save_device(Device(name="mypi", link="ssh", address="pi", target=str(tmp_path / "own.toml")))
    board.facts = replace(
        PI4,
        board="",
        cpu_parts=(),
        arch=platform.machine(),
        python=platform.python_version(),
        packages={},
    )
    monkeypatch.setenv("TINYML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(wheel_files, "_download", write_wheels)
    return board


def test_setup_installs_records_and_does_nothing_twice(bare: FakeBoard, cli: Cli) -> None:
    done = cli("device", "check", "mypi", "--setup")
    assert done.returncode == 0, done.stderr
    assert "ai-edge-litert 9.2, numpy 9.1" in done.stdout
    own = bare.home / ".tinyml"
    assert read_devices()["mypi"].python == str(own / "venv/bin/python")
    (made,) = own.glob("venv-*")
    assert sorted(path.name for path in own.iterdir()) == sorted(["venv", made.name])
    done = cli("device", "check", "mypi", "--setup")
    assert "mypi already has numpy, ai-edge-litert" in done.stderr
    assert done.returncode == 0


def test_a_python_that_is_gone_is_forgotten_where_the_systems_has_all(
    bare: FakeBoard, cli: Cli
) -> None:
    save_device(replace(read_devices()["mypi"], python="/gone/bin/python"), replace=True)
    bare.facts = replace(bare.facts, packages={"numpy": "9.1", "ai-edge-litert": "9.2"})
    done = cli("device", "check", "mypi", "--setup")
    assert "mypi already has numpy, ai-edge-litert" in done.stderr
    assert done.returncode == 0, done.stdout
    assert read_devices()["mypi"].python == ""


def test_an_interrupted_setup_copies_only_what_has_not_arrived(
    bare: FakeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[str] = []
    push = LocalLink.push

    def lossy(link: LocalLink, path: Path, name: str) -> str:
        pushed.append(name)
        if len(pushed) == 3:
            raise DeviceError("the connection to mypi was lost")
        return push(link, path, name)

    monkeypatch.setattr(LocalLink, "push", lossy)
    wheels = [write_wheel(tmp_path, name, "1", f"{name}.py") for name in ("one", "two")]
    agent = push_agent(bare.link(read_devices()["mypi"]))
    with pytest.raises(DeviceError, match="was lost"):
        copy_wheels(agent, wheels, silent)
    copy_wheels(agent, wheels, silent)
    assert [name.partition("-")[0] for name in pushed[1:]] == ["one", "two", "two"]
    there = bare.home / ".tinyml" / "wheels"
    assert sorted(path.name for path in there.iterdir()) == [path.name for path in wheels]


def test_a_wheel_that_does_not_run_there(bare: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path, facts: BoardFacts, wanted: Sequence[str]) -> None:
        write_wheel(folder, "numpy", "9.1", "numpy/__init__.py", RAISES)

    monkeypatch.setattr(wheel_files, "_download", broken)
    with pytest.raises(DeviceError, match=r"numpy cannot be imported there: .* wrong ELF") as got:
        setup_device("mypi", silent)
    record(
        "preparing the board",
        "wheel of the wrong CPU",
        got.value,
        board="the wheels, which are not used",
        host="the downloaded wheels",
    )
    assert read_devices()["mypi"].python == ""
    assert [path.name for path in (bare.home / ".tinyml").iterdir()] == ["wheels"]


def test_what_setup_does_not_fix_comes_first(bare: FakeBoard) -> None:
    bare.facts = replace(bare.facts, has_venv=False)
    with pytest.raises(DeviceError, match="cannot make a virtual environment"):
        setup_device("mypi", silent)
    bare.facts = replace(bare.facts, has_venv=True, disk_free_mb=300)
    with pytest.raises(
        DeviceError, match="mypi has 300 MB free in /home/pi: installing takes 400"
    ) as got:
        setup_device("mypi", silent)
    record("preparing the board", "disk nearly full", got.value, board="nothing", host="nothing")
    assert not (bare.home / ".tinyml").exists()


def test_an_older_runtime_with_a_newer_numpy_is_replaced(
    bare: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(folder: Path, facts: BoardFacts, wanted: Sequence[str]) -> None:
        raise MachineError(" ".join(wanted))

    monkeypatch.setattr(wheel_files, "_download", asked)
    packages = {"tflite-runtime": "2.14.0", "numpy": "2.4.6"}
    bare.facts = replace(bare.facts, packages=packages)
    with pytest.raises(MachineError, match=r"numpy==9\.1 ai-edge-litert==9\.2"):
        setup_device("mypi", silent)


def test_a_phone_has_no_setup(board: FakeBoard) -> None:
    save_device(Device(name="pixel", link="adb", address="0123", target="android"))
    with pytest.raises(DeviceError, match="device check --setup is not supported on Android yet"):
        setup_device("pixel", silent)


def test_every_tag_that_the_boards_glibc_runs_is_named() -> None:
    tags = python_tags(PI4)
    assert tags[:2] == ["--platform=manylinux_2_36_aarch64", "--platform=manylinux_2_35_aarch64"]
    assert "--platform=manylinux_2_28_aarch64" in tags
    assert tags[-4:] == [
        "--platform=manylinux_2_17_aarch64",
        "--platform=manylinux2014_aarch64",
        "--python-version=3.11",
        "--implementation=cp",
    ]
    assert wheel_key(PI4, ["a"]) != wheel_key(replace(PI4, python="3.13.0"), ["a"])


def test_a_download_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYML_CACHE", str(tmp_path))
    python = tmp_path / "pip"
    python.write_text("#!/bin/sh\necho 'ERROR: No matching distribution' >&2\necho x >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(wheel_files, "python_module", lambda module, words: [str(python)])
    with pytest.raises(MachineError) as got:
        download_wheels(PI4, ["numpy"], silent)
    assert got.value.message == ("pip cannot download numpy: ERROR: No matching distribution")
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == []


def test_a_wheel_lies_where_pip_puts_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as archive:
        for name in ("pkg/a.py", "w-1.data/platlib/pkg/b.so", "w-1.data/data/share/c"):
            archive.writestr(name, name)
        archive.writestr("w-1.data/scripts/tool", "")
        archive.writestr("../outside", "")
    unpack(str(tmp_path / "w.whl"), str(tmp_path / "venv"))
    found = {p.relative_to(tmp_path / "venv").as_posix() for p in tmp_path.rglob("venv/**/*")}
    assert {f"{SITE}/pkg/a.py", f"{SITE}/pkg/b.so", "share/c"} <= found
    assert not [name for name in found if name.endswith("tool")]
    assert not (tmp_path / "outside").exists()


def test_a_draft_that_fails_goes_and_a_link_moves_at_once(tmp_path: Path) -> None:

    def fill() -> None:
        with draft_of(str(tmp_path / "new")) as draft:
            (Path(draft) / "half").touch()
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fill()
    assert list(tmp_path.iterdir()) == []
    point(str(tmp_path / "link"), "one")
    point(str(tmp_path / "link"), "two")
    assert (tmp_path / "link").readlink() == Path("two")
