"""A board is recognised, added and checked; each problem has the command that fixes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Done
from device_faults import When, record
from emulated_board.phone import PROPERTIES
from fake_board import PI4, FakeBoard
from own_link import use_link
from phones import shell_phone

from tinyml.core.board_facts import BoardFacts
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, UsageError
from tinyml.core.target import find_target
from tinyml.pipeline.devices.add import add_device
from tinyml.pipeline.devices.check import check_device
from tinyml.pipeline.devices.inventory import read_devices, save_device
from tinyml.pipeline.devices.lock_store import ShellLock
from tinyml.pipeline.devices.problems import problems_of
from tinyml.pipeline.devices.recognise import recognise
from tinyml.pipeline.devices.wheels import needed_packages, no_wheels, wheels_for

BOARD: When = "preparing the board"
Cli = Callable[..., Done]
MYPI = Device(name="mypi", link="ssh", address="pi@board", target="rpi4", tags=("lab",))
OWN = """\
board = "My board"
arch = "x86_64"
cpu = "c"
memory_mb = 256
[systems.own]
python = "3.11"
runtimes = { litert = "2.1.0" }
"""


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({}, "rpi4"),
        ({"board": "Raspberry Pi 5 Model B Rev 1.0", "cpu_parts": ("0x41 0xd0b",)}, "rpi5"),
        ({"board": "Raspberry Pi Zero 2 W Rev 1.0"}, "rpi-zero2w"),
        ({"board": "Raspberry Pi 400 Rev 1.0"}, "rpi4"),
        ({"board": "", "cpu_parts": ("0x41 0xd0b",)}, "rpi5"),
        ({"board": "Pixel 8", "system": "Android 14 (API 34)"}, "android"),
        ({"board": "Orange Pi 5", "cpu_parts": ("0x41 0xd05", "0x41 0xd0b")}, None),
        ({"board": "PC", "cpu_parts": (), "arch": "x86_64"}, None),
    ],
)
def test_a_board_is_recognised_by_its_model_or_its_processor(
    change: dict[str, Any], target: str | None
) -> None:
    found = recognise(replace(PI4, **change))
    assert (found.target.name if found else None) == target
    assert found is None or change.get("board", "Pi 4") in found.because or target == "android"


def test_wheels_are_those_of_the_boards_python() -> None:
    target = find_target("rpi4")
    assert needed_packages(target) == ("numpy", "ai-edge-litert", "onnxruntime")
    assert needed_packages(find_target("rpi-zero2w")) == ("numpy", "ai-edge-litert")
    on_3_9 = replace(PI4, python="3.9.2")
    assert wheels_for(target, on_3_9)["ai-edge-litert"] == "2.1.0"
    assert wheels_for(target, PI4)["onnxruntime"] == "1.32.0"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"bits": 32}, "its programs are 32-bit, and runtimes have only 64-bit wheels"),
        ({"libc": "musl"}, "its C library is musl, and wheels need glibc"),
        ({"python": "3.14.0"}, "no wheels are known for Python 3.14.0 there"),
    ],
)
def test_boards_without_wheels(change: dict[str, Any], why: str) -> None:
    facts = replace(PI4, **change)
    assert why in no_wheels(find_target("rpi4"), facts)
    assert wheels_for(find_target("rpi4"), facts) == {}


def problems(**change: Any) -> list[tuple[str, str]]:
    facts = replace(PI4, **change)
    found = problems_of(facts, MYPI, find_target(MYPI.target), 1e9)
    return [(own.what, own.fix) for own in found]


SETUP = "tinyml device check mypi --setup"


@pytest.mark.parametrize(
    ("change", "what", "fix"),
    [
        (
            {"packages": {"numpy": "2.4.6"}},
            "ai-edge-litert, onnxruntime are not installed for /usr/bin/python3",
            SETUP,
        ),
        (
            {"packages": {"tflite-runtime": "2.14.0", "numpy": "2.4.6", "onnxruntime": "1"}},
            "tflite-runtime 2.14.0 needs numpy 1, and it has 2.4.6",
            SETUP,
        ),
        ({"python": "3.7.3"}, "is Python 3.7.3, and tinyml needs 3.9 or newer", "rpi-imager"),
        ({"bits": 32}, "its programs are 32-bit (its kernel is aarch64)", "rpi-imager"),
        ({"disk_free_mb": 20}, "its disk is nearly full: 20 MB are free in /home/pi", "apt clean"),
        ({"noexec": ("/home/pi", "/tmp")}, "it is mounted noexec", "remount,exec"),
        ({"home_writable": False}, "/home/pi cannot be written to", "chown $(id -u) /home/pi"),
        (
            {"board": "Raspberry Pi 5 Model B Rev 1.0"},
            "it is recorded as rpi4, and is rpi5: its model is Raspberry Pi 5 Model B Rev 1.0",
            "tinyml device add mypi pi@board --target rpi5 --tag lab --force",
        ),
        ({"board": "", "cpu_parts": (), "arch": "riscv64"}, "and it is riscv64", "tinyml targets"),
        ({"clock_s": 1e9 - 86400}, "its clock is 1,440 minutes behind", "timedatectl"),
    ],
)
def test_a_problem_has_its_fix(change: dict[str, Any], what: str, fix: str) -> None:
    ((found, how),) = problems(**change)
    assert what in found
    assert fix in how


def test_a_board_without_venv_or_wheels() -> None:
    assert [own for own, _ in problems(packages={}, has_venv=False)][1:] == [
        "its Python cannot make a virtual environment"
    ]
    ((what, fix),) = problems(packages={}, python="3.14.1")
    assert "no wheels are known for Python 3.14.1" in what
    assert "tinyml targets rpi4" in fix
    assert problems() == []


def test_the_target_is_chosen_from_what_is_found(board: FakeBoard) -> None:
    found = add_device("mypi", "pi@board", tags=("lab",))
    assert found.ready
    assert read_devices() == {"mypi": MYPI}
    with pytest.raises(UsageError, match="there is a device 'mypi'"):
        add_device("mypi", "pi@board")
    assert len(board.opened) == 1
    assert add_device("mypi", "pi@other", replaces=True).device.address == "pi@other"


def test_a_board_like_no_target_needs_one(board: FakeBoard, tmp_path: Path) -> None:
    board.facts = replace(PI4, board="PC", cpu_parts=(), arch="x86_64")
    with pytest.raises(DeviceError, match="mypi is not like any shipped target: PC, x86_64") as got:
        add_device("mypi", "pi@board")
    assert "--target" in got.value.hint
    assert read_devices() == {}
    (tmp_path / "mine.toml").write_text(OWN)
    found = add_device("mypi", "pi@board", target=str(tmp_path / "mine.toml"))
    assert found.device.target == str(tmp_path / "mine.toml")
    assert found.ready
    with pytest.raises(UsageError, match="'host' is this machine, and not the target of a board"):
        add_device("here", "pi@board", target="host")
    with pytest.raises(UsageError, match="unknown link 'local'"):
        add_device("here", "pi@board", link="local")


def test_a_recorded_python_that_is_gone(board: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    save_device(replace(MYPI, python="/gone/python"))
    monkeypatch.setenv("PATH", f"{board.folder}:/usr/bin:/bin")
    board.link(MYPI)
    (board.folder / "python").rename(board.folder / "python3")
    found = check_device("mypi")
    assert found.problems[0].what == ("/gone/python, which is recorded for it, cannot be started")
    assert found.problems[0].fix == SETUP
    with pytest.raises(DeviceError, match="other: /gone/python cannot be started"):
        add_device("other", "pi@board", python="/gone/python")


def test_a_check_shows_all_and_its_code_tells(board: FakeBoard, cli: Cli) -> None:
    done = cli("device", "add", "mypi", "pi@board", "--tag", "lab")
    assert done.returncode == 0, done.stderr
    assert "mypi is recorded as rpi4: its model is Raspberry Pi 4 Model B Rev 1.4" in done.stdout
    done = cli("device", "check", "mypi")
    assert (done.returncode, done.stderr) == (0, "ready: mypi runs bundles for rpi4\n")
    for shown in (
        "ssh pi@board",
        "Debian GNU/Linux 12 (bookworm), kernel 6.6.20+rpt-rpi-v8, aarch64",
        "64-bit programs",
        "3.11.2, /usr/bin/python3, glibc 2.36",
        "4 cores cortex-a72; 2 of 1,800 MHz, 2 of 1,500 MHz; asimd",
        "1,845 MB, 1,500 MB free; pages of 4 KiB",
        "9,000 MB free in /home/pi",
        "ai-edge-litert 2.3.0, numpy 2.4.6, onnxruntime 1.32.0",
        "lock          free",
    ):
        assert shown in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    board.facts = replace(PI4, packages={}, disk_free_mb=1, clock_s=time.time() - 1e6)
    done = cli("device", "check", "mypi")
    assert done.returncode == 4
    assert done.stderr.splitlines()[-3:] == [
        "error: mypi is not ready: numpy, ai-edge-litert, onnxruntime are not installed for "
        "/usr/bin/python3",
        f"hint: {SETUP}",
        "also: its disk is nearly full: 1 MB are free in /home/pi; fix: on the board: sudo apt "
        "clean; du -xh ~ | sort -h | tail shows what is large",
    ]
    assert "warning: its clock is" in done.stderr


def test_the_other_verbs(board: FakeBoard, cli: Cli) -> None:
    assert "there is no device in" in cli("device", "list").stderr
    save_device(MYPI)
    assert "mypi  ssh   pi@board  rpi4    lab" in cli("device", "list").stdout
    assert "pi@board" in cli("device", "show", "mypi").stdout
    assert "mypi is reserved by" in cli("device", "lock", "mypi", "--why", "tests").stdout
    assert ": tests, for " in cli("device", "check", "mypi").stdout
    assert "mypi is free: it was taken by" in cli("device", "unlock", "mypi").stdout
    for verb in (["list"], ["show", "mypi"], ["check", "mypi"]):
        assert cli("device", *verb, "--json").stdout[0] in "[{"
    assert '"held": null' in cli("device", "unlock", "mypi", "--json").stdout
    assert cli("device", "remove", "mypi").stdout == "removed: mypi (ssh pi@board)\n"
    assert read_devices() == {}
    assert cli("device", "show", "host").returncode == 2


def test_facts_of_an_old_python_are_shown(board: FakeBoard) -> None:
    board.facts = BoardFacts(
        **{
            **{name: getattr(PI4, name) for name in BoardFacts.__slots__},
            "python": "3.7.3",
            "packages": {},
        }
    )
    save_device(MYPI)
    found = check_device("mypi")
    assert found.lock == "not known"
    with pytest.raises(DeviceError, match=r"Python 3\.7\.3") as got:
        found.require_ready()
    record(BOARD, "Python 3.7", got.value, board="nothing", host="nothing")


def test_a_phone_is_added_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    phone = shell_phone(tmp_path / "phone", PROPERTIES)
    use_link(monkeypatch, "adb", lambda _: nullcontext(phone.link))
    lock = str(tmp_path / "lock")
    monkeypatch.setattr(ShellLock.__init__, "__defaults__", (lock,))
    done = cli("device", "add", "pixel", "0123", "--target", "android")
    assert done.returncode == 0, done.stderr
    assert "pixel is recorded as android: it runs Android" in done.stdout
    done = cli("device", "check", "pixel")
    assert (done.returncode, done.stderr) == (0, "ready: pixel runs bundles for android\n")
    assert "adb 0123" in done.stdout
    assert "aarch64, 64-bit programs" in done.stdout
    assert "Python" not in done.stdout


def test_a_home_that_is_mounted_noexec(board: FakeBoard) -> None:
    board.facts = replace(PI4, noexec=("/home/pi", "/tmp"))
    save_device(MYPI)
    with pytest.raises(DeviceError) as got:
        check_device("mypi").require_ready()
    record(BOARD, "home folder mounted noexec", got.value, board="nothing", host="nothing")
    board.facts = replace(PI4, noexec=("/tmp",))
    assert check_device("mypi").ready
