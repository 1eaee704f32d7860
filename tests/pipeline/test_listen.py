"""`tinyml listen` on this machine and over a link: the same lines, and every end of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from boards import SshServer
from command_line import Done
from device_faults import record
from processes import wait_for

from tinyml.core import bundle as bundles
from tinyml.core.check_listens import check_listens
from tinyml.core.device import Device
from tinyml.core.errors import (
    DataError,
    DeviceError,
    InputError,
    MachineError,
    TinymlError,
    UsageError,
    ValidationError,
)
from tinyml.core.listen_lines import ListenDecision, ListenLine, ListenStart
from tinyml.core.recording_processor import RecordingProcessor
from tinyml.pipeline import listen as pipeline
from tinyml.pipeline.listen import SoundInput, listen
from tinyml.pipeline.outputs.engines import choose
from tinyml.pipeline.predict import windows_through

Cli = Callable[..., Done]
RATE_HZ = 4000
NOISE = 0.2 * np.random.default_rng(1).standard_normal(8 * RATE_HZ)
SAMPLES = (NOISE * 2**15).astype("<i2")
SHORT = np.float32(SAMPLES[: 6 * RATE_HZ + 2417]) / np.float32(2**15)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", SAMPLES, RATE_HZ)
    return tmp_path / "a.wav"


def heard(folder: Path, sound: SoundInput, **options: Any) -> list[ListenDecision]:
    """The decisions, after a whole run."""
    lines: list[ListenLine] = []
    found = listen(folder, sound, lines.append, **options)
    assert isinstance(lines[0], ListenStart)
    assert lines[-1] is found.summary
    assert not found.interrupted
    decisions = [line for line in lines if isinstance(line, ListenDecision)]
    assert found.summary.decisions == len(decisions)
    return decisions


def shares(decisions: list[ListenDecision]) -> list[Any]:
    return [(line.time_s, line.label, line.probabilities) for line in decisions]


def test_the_command_line_listens_to_a_file_with_the_windows_of_predict(
    small_bundle: Path, wav: Path, cli: Cli, tmp_path: Path
) -> None:
    out = tmp_path / "lines.jsonl"
    done = cli("listen", small_bundle, wav, "--hop", "1s", "--json", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert out.read_text() == done.stdout
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["kind"] for line in lines] == ["start", *["decision"] * 3, "summary"]
    bundle = bundles.read(small_bundle)
    floats = np.float32(SAMPLES) / np.float32(2**15)
    windows = np.stack([floats[s : s + 6 * RATE_HZ] for s in (0, RATE_HZ, 2 * RATE_HZ)])
    want = windows_through(choose(bundle, "litert"))(windows)
    got = [list(line["probabilities"].values()) for line in lines[1:-1]]
    np.testing.assert_array_equal(np.float32(got), want)
    again = cli("listen", small_bundle, wav, "--out", out)
    assert again.returncode == 2
    assert f"{out} exists" in again.stderr


def test_what_a_person_sees_fits_80_columns(small_bundle: Path, wav: Path, cli: Cli) -> None:
    done = cli("listen", small_bundle, wav, "--runtime", "onnxruntime")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith("listening at 4000 Hz with onnxruntime: a dec")
    assert (
        "2 whole windows are computed per second, 92% of each repeats the one before" in done.stderr
    )
    assert done.stdout.splitlines()[0].startswith("    6.00 s  ")
    assert "real-time factor" in done.stdout
    assert [line for line in (done.stdout + done.stderr).splitlines() if len(line) > 80] == []


@pytest.fixture
def board(ssh_device: Device) -> Device:
    return replace(ssh_device, target="rpi4")


def test_a_board_hears_what_this_machine_hears(
    small_bundle: Path, wav: Path, board: Device, tmp_path: Path
) -> None:
    """A file through the link; then a recorder there, and one here."""
    want = shares(heard(small_bundle, SoundInput(file=wav)))
    assert len(want) == 5
    assert shares(heard(small_bundle, SoundInput(file=wav), device=board)) == want
    raw = tmp_path / "it's raw"
    raw.write_bytes(SAMPLES.tobytes())
    for there in (True, False):
        sound = SoundInput(capture=f'cat "{raw}"', capture_there=there)
        assert shares(heard(small_bundle, sound, device=board)) == want


REFUSED: list[tuple[SoundInput, type[TinymlError], str]] = [
    (SoundInput(file=Path("no-such.wav")), DataError, "no-such.wav does not exist"),
    (SoundInput(capture="no-such-recorder"), MachineError, "cannot start no-such-recorder"),
    (SoundInput(capture="sh -c 'echo it is busy >&2; exit 3'"), MachineError, "3: it is busy"),
    (SoundInput(capture="true"), DataError, "no sound came: it is empty"),
    (SoundInput(capture="sh -c 'echo RIFF; sleep 9'"), DataError, "is a .wav, not raw PCM"),
    (SoundInput(capture="'"), UsageError, "No closing quotation"),
]


@pytest.mark.parametrize(("sound", "kind", "reason"), REFUSED)
def test_sound_that_cannot_be_heard_is_refused(
    sound: SoundInput, kind: type[TinymlError], reason: str, small_bundle: Path
) -> None:
    with pytest.raises(kind, match=reason) as caught:
        heard(small_bundle, sound)
    assert type(caught.value) is kind


def test_a_recorder_here_that_fails_is_named_too(small_bundle: Path, board: Device) -> None:
    command = "sh -c 'head -c 50000 /dev/zero; echo it is busy >&2; exit 3'"
    sound = SoundInput(capture=command, capture_there=False)
    with pytest.raises(MachineError, match="sh ended with exit code 3: it is busy"):
        heard(small_bundle, sound, device=board)


def test_an_output_that_cannot_be_written_ends_it(small_bundle: Path, wav: Path) -> None:
    with pytest.raises(MachineError, match="no space left"):
        heard(small_bundle, SoundInput(file=wav), out=Path("/dev/full"))


def test_bundles_and_devices_that_cannot_listen_are_refused(
    small_bundle: Path, wav: Path, board: Device
) -> None:
    bundle, sound = bundles.read(small_bundle), SoundInput(file=wav)
    assert isinstance(bundle.processor, RecordingProcessor)
    with pytest.raises(InputError, match="does not take sound: it declares no sample rate"):
        check_listens(replace(bundle, processor=None))
    with pytest.raises(InputError, match="takes a whole recording at once"):
        check_listens(replace(bundle, processor=replace(bundle.processor, whole=True)))
    with pytest.raises(DeviceError, match="was made for rpi4, and board is recorded as rpi5"):
        heard(small_bundle, sound, device=replace(board, target="rpi5"))
    phone = Device(name="pixel", link="adb", target="android")
    with pytest.raises(DeviceError, match="tinyml listen is not supported on Android yet"):
        heard(small_bundle, sound, device=phone)


def test_a_changed_archive_is_not_run(
    small_bundle: Path, wav: Path, board: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = pipeline.push_program
    changed = lambda *arguments: replace(push(*arguments), sha256="0" * 64)  # noqa: E731
    monkeypatch.setattr(pipeline, "push_program", changed)
    with pytest.raises(ValidationError, match=r"listen.zip was changed there after it was pushed"):
        heard(small_bundle, SoundInput(file=wav), device=board)


def test_a_lost_link_ends_it(small_bundle: Path, own_server: SshServer) -> None:
    seen: list[ListenLine] = []

    def show(line: ListenLine) -> None:
        seen.append(line)
        if len(seen) == 2:
            own_server.process.kill()

    device = replace(own_server.device, target="rpi4")
    sound = SoundInput(capture="cat /dev/zero", capture_there=True)
    with pytest.raises(DeviceError, match="the connection was lost") as caught:
        listen(small_bundle, sound, show, device=device)
    assert len(seen) >= 2
    wait_for(lambda: not [*(own_server.home / ".cache" / "tinyml").glob("tinyml-link-*")])
    record(
        "while a model runs",
        "the connection is lost in tinyml listen",
        caught.value,
        board="its lock, which the next command replaces",
        host="the lines so far, in `--out`",
    )


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_ends_it_with_a_summary(small_bundle: Path, tmp_path: Path) -> None:
    """In a process: sound through a pipe that stays open, and SIGINT to its group."""
    command = [sys.executable, "-m", "tinyml.cli.main", "listen", str(small_bundle), "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(SAMPLES[: 7 * RATE_HZ].tobytes())
        process.stdin.flush()
        lines = [json.loads(process.stdout.readline()) for _ in range(4)]
        os.killpg(process.pid, signal.SIGINT)
        lines += [json.loads(line) for line in process.stdout]
        assert process.stderr.read() == b""
    assert process.returncode == 130
    assert lines[-1]["kind"] == "summary"
    assert lines[-1]["decisions"] == 3
