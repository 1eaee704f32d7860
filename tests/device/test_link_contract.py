"""What every link does alike: commands, files, time-outs, interruption; no shell reads a name."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from device_faults import record
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import assert_gone, wait_for

from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import DeviceError, TinymlError
from tinyml.device.link import Link
from tinyml.pipeline.devices.links import open_link

DEVICES = {
    "local": THIS_MACHINE,
    "emulated": Device(name="qemu", link="emulated", runner=("env",), python="python3"),
    "ssh": "ssh_device",
    "adb": "fake_phone",
    # Where they are installed.
    "openssh": "openssh_device",
    "busybox": "busybox_device",
    "toybox": "toybox_device",
}
NAMES = ("a b it's \" $(touch hit) `touch hit`;*", "-rf", "a\n\\n\r é\u2028")
# It writes the number of its process to the file $1, and sleeps.
SLEEP = ("sh", "-c", 'echo $$ >"$1-"; mv "$1-" "$1"; exec sleep 600', "sh")


def record_ended(fault: str, error: TinymlError, names: Mapping[str, str]) -> None:
    record("while a model runs", fault, error, board="nothing", host="nothing", names=names)


@pytest.fixture(params=DEVICES)
def link(request: pytest.FixtureRequest) -> Iterator[Link]:
    device = DEVICES[request.param]
    found = request.getfixturevalue(device) if isinstance(device, str) else device
    with open_link(found) as opened:
        yield opened


def test_exit_code_and_both_streams_come_back(link: Link) -> None:
    for code in (0, 1, 126, 255):
        script = f"echo out; echo err >&2; exit {code}"
        done = link.run(["sh", "-c", script], timeout_s=60)
        assert (done.code, done.stdout, done.stderr) == (code, "out\n", "err\n")


def test_a_signal_is_a_negative_exit_code(link: Link) -> None:
    assert link.run(["sh", "-c", "kill -SEGV $$"], timeout_s=60).code == -signal.SIGSEGV


def test_a_program_that_is_not_there(link: Link) -> None:
    if link.label == "emulated":
        pytest.skip("its runner looks for the program")
    with pytest.raises(DeviceError, match="cannot start no-such-program: it is not a program on"):
        link.run(["no-such-program"], timeout_s=60)


def test_files_arrive_as_they_are(link: Link, tmp_path: Path) -> None:
    here, back = tmp_path / "here", tmp_path / "back"
    for content in (b"", bytes(range(256)) * 1000 + b"\r\n\0"):
        here.write_bytes(content)
        there = link.push(here, "model.onnx")
        assert there == f"{link.folder}/model.onnx"
        link.pull("model.onnx", back)
        assert back.read_bytes() == content
    with pytest.raises(TinymlError, match="missing"):
        link.pull("missing", back)
    assert back.read_bytes() == content
    assert sorted(own.name for own in tmp_path.iterdir()) == ["back", "here"]


def test_a_command_runs_in_the_links_folder_which_goes_with_it(link: Link, tmp_path: Path) -> None:
    assert link.run(["pwd"], timeout_s=60).stdout == f"{link.folder}\n"
    (tmp_path / "input").write_text("text")
    there = link.push(tmp_path / "input", "input")
    assert link.run(["cat", "input", there], timeout_s=60).stdout == "texttext"


def test_a_long_command_talks_to_us(link: Link) -> None:
    script = 'while read -r line; do echo "got $line"; done; exit 9'
    command = link.command(["sh", "-c", script])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in ("one", "two"):
            process.stdin.write(f"{line}\n")
            assert process.stdout.readline() == f"got {line}\n"
        process.stdin.close()
        assert process.wait(30) == 9


def test_what_takes_too_long_is_killed(link: Link, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    for timeout_s in (0.7, 3.0, 20.0):  # It must have started, on a busy machine too.
        with pytest.raises(DeviceError, match=f"did not end within {timeout_s:g} s") as caught:
            link.run([*SLEEP, str(pid)], timeout_s=timeout_s)
        if pid.exists():
            break
    assert_gone(int(pid.read_text()))
    if link.name == "board":
        names = {f"{timeout_s:g} s": "600 s"}
        record_ended("hang", caught.value, names)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_kills_what_runs(link: Link, tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def interrupt() -> None:
        wait_for(pid.exists)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        link.run([*SLEEP, str(pid)], timeout_s=60)
    assert_gone(int(pid.read_text()))
    assert link.run(["echo", "still"], timeout_s=60).stdout == "still\n"


def test_a_flood_of_output_is_ended(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyml.device.local.MOST_BYTES", 1 << 20)
    pid = tmp_path / "pid"
    script = 'echo $$ >"$1"; exec yes'
    with pytest.raises(DeviceError, match="wrote more than 1 MiB, and was ended") as caught:
        link.run(["sh", "-c", script, "sh", str(pid)], timeout_s=60)
    assert_gone(int(pid.read_text()))
    if link.name == "board":
        record_ended("output flood", caught.value, {"1 MiB": "64 MiB"})


def test_what_a_closed_link_had_started_ends(
    ssh_device: Device, fake_phone: Device, tmp_path: Path
) -> None:
    for device in (ssh_device, fake_phone):
        pid = tmp_path / device.name
        with open_link(device) as link:
            process = subprocess.Popen(link.command([*SLEEP, str(pid)]))
            wait_for(pid.exists)
        process.wait(30)
        assert_gone(int(pid.read_text()))
        assert not Path(link.folder).exists()


def check_name(link: Link, name: str, folder: Path) -> None:
    """``name``, of a file and as an argument, arrives as it is."""
    here, back = folder / "here", folder / "back"
    here.write_bytes(name.encode())
    there = link.push(here, name)
    link.pull(name, back)
    assert back.read_bytes() == name.encode()
    script = 'printf %s "$1"; cat -- "$2"; rm -- "$2"; ls'
    done = link.run(["sh", "-c", script, "sh", name, there], timeout_s=60)
    assert (done.code, done.stdout, done.stderr) == (0, name * 2, "")


def test_no_shell_reads_a_name(link: Link, tmp_path: Path) -> None:
    for name in NAMES:
        check_name(link, name, tmp_path)


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0/")
pieces = st.sampled_from(
    ["$(id)", "`id`", "'", '"', "\\", "\n", ";id;", "$HOME", "&", "!!", "~", "é"]
)
names = st.lists(pieces | letters, min_size=1, max_size=20).map("".join)
any_name = names.filter(lambda name: name not in (".", "..") and not name.startswith("."))


def check_any_name(link: Link, folder: Path, examples: int) -> None:
    @given(name=any_name)
    @settings(max_examples=examples, deadline=None)
    def check(name: str) -> None:
        check_name(link, name, folder)

    check()


def test_no_shell_reads_what_hypothesis_finds(
    ssh_device: Device, fake_phone: Device, tmp_path: Path
) -> None:
    for device in (ssh_device, fake_phone):
        with open_link(replace(device, name="it's $(touch hit)\n`x`")) as link:
            check_any_name(link, tmp_path, 3)
            with pytest.raises(DeviceError, match=r"on it's \$\(touch hit\)\\n`x` did not end"):
                link.run(["sleep", "60"], timeout_s=0.2)


@pytest.mark.slow
def test_no_shell_reads_any_name(link: Link, tmp_path: Path) -> None:
    check_any_name(link, tmp_path, 100)
