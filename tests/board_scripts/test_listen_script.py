"""listen.py from its command line to its last line: sources, refusals, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import listening
import numpy as np
import pytest
import soundfile
from listening import RATE_HZ, TONE, Listened, bundle, classify, environment, pcm
from processes import wait_for

from tinyml import board_scripts
from tinyml.board_scripts import listen

heard = listening.heard
Heard = Callable[..., Listened]


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "sound.raw"
    path.write_bytes(data)
    return path


def _named(p: Any) -> dict[str, float]:
    return {"murmur": float(p[0, 0]), "none": float(p[0, 1])}


@pytest.mark.parametrize("streaming", [False, True])
def test_decisions_of_a_file_with_their_cost(streaming: bool, heard: Heard, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", streaming=streaming)
    found = heard(folder, _file(tmp_path, pcm(TONE)), "--hop", "200ms")
    assert found.code == 0
    assert [time_s for time_s, _, _ in found.decisions] == [0.4, 0.6, 0.8, 1.0]
    assert [line["kind"] for line in found.lines].count("frame") == 0
    assert found.lines[0] == {
        "kind": "start",
        "streaming": streaming,
        "runtime": "litert",
        "rate_hz": RATE_HZ,
        "window_s": 0.4,
        "hop_s": 0.2,
        "front_end_delay_s": 0.03 if streaming else 0.0,
        "computations_per_s": 5.0,
        "repeated_share": 0.0 if streaming else 0.5,
    }
    if not streaming:
        window = np.float32((TONE * 2**15).astype("<i2")[None, 200:600]) / np.float32(2**15)
        assert found.decisions[1] == (0.6, "none", _named(classify(window)))
    summary = found.summary
    assert (summary["decisions"], summary["sound_s"], summary["overruns"]) == (4, 1.0, 0)
    assert summary["latency_ms"] is None


def test_frames_are_printed_where_they_are_asked_for(heard: Heard, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", streaming=True)
    found = heard(folder, _file(tmp_path, pcm(TONE)), "--frames")
    assert [line["time_s"] for line in found.of("frame")] == [n / 100 for n in range(1, 101)]
    assert {len(line["values"]) for line in found.of("frame")} == {4}


def test_a_wav_is_read_as_run_py_reads_it(heard: Heard, tmp_path: Path) -> None:
    folder, wav = bundle(tmp_path / "b"), tmp_path / "a.wav"
    soundfile.write(wav, np.stack([TONE, TONE[::-1]], axis=1), RATE_HZ, subtype="FLOAT")
    mono = np.stack([TONE, TONE[::-1]], axis=1).mean(axis=1, dtype=np.float32)
    raw = heard(folder, _file(tmp_path, pcm(mono, "f32le")), "--format", "f32le")
    assert heard(folder, wav).decisions == raw.decisions


def test_a_label_is_chosen_by_the_thresholds(heard: Heard, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", thresholds=[0.2])
    found = heard(folder, _file(tmp_path, pcm(TONE)))
    assert {label for _, label, _ in found.decisions} == {"murmur"}


def test_silence_has_no_label(heard: Heard, tmp_path: Path) -> None:
    for streaming in (False, True):
        folder = bundle(tmp_path / f"{streaming}", streaming=streaming)
        found = heard(folder, _file(tmp_path, bytes(2000)))
        assert found.code == 0
        assert found.decisions == [(0.4, None, None), (0.9, None, None), (1.0, None, None)]


@pytest.mark.parametrize(
    ("data", "arguments", "code", "reason"),
    [
        (b"", (), 3, "no sound came: it is empty"),
        (b"x", (), 3, "no sound came: it is empty"),
        (pcm(TONE[:399]), (), 3, "the sound lasted 0.399 s, one window takes 0.4 s"),
        (pcm(TONE * np.nan, "f32le"), ("--format", "f32le"), 3, "the sound holds NaN or infinite"),
        (pcm(TONE), ("--runtime", "onnxruntime"), 2, "this bundle has no .onnx file for onnxrunt"),
        (pcm(TONE), ("--capture", "arecord"), 2, "give a file or --capture, not both"),
    ],
)
def test_what_cannot_be_heard_is_refused(
    data: bytes,
    arguments: tuple[str, ...],
    code: int,
    reason: str,
    heard: Heard,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = heard(bundle(tmp_path / "b"), _file(tmp_path, data), *arguments)
    assert found.code == code
    assert reason in capsys.readouterr().err
    if len(found.lines) > 1:  # it began to listen
        assert found.summary["decisions"] == 0


def test_a_hop_is_a_multiple_of_a_frame(
    heard: Heard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bundle(tmp_path / "b", streaming=True)
    assert heard(folder, _file(tmp_path, pcm(TONE)), "--hop", "0.025").code == 2
    error = "error: --hop 0.025s is not a multiple of 0.01s, one frame\n"
    assert capsys.readouterr().err == error


@pytest.mark.parametrize("hop", ["0", "-1s", "nan", "inf", "soon"])
def test_a_hop_is_a_time(hop: str, heard: Heard, tmp_path: Path) -> None:
    assert heard(bundle(tmp_path / "b"), f"--hop={hop}").code == 2


@pytest.mark.parametrize(
    ("name", "reason"), [("no-such.wav", "does not exist"), ("", "is a folder"), ("a.wav", "2000")]
)
def test_a_file_that_cannot_be_heard_is_named(
    name: str, reason: str, heard: Heard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", TONE, 2000)
    path = tmp_path / name
    found = heard(bundle(tmp_path / "b"), path)
    assert (found.code, found.lines) == (3, [])
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path} ")
    assert reason in error
    if name == "a.wav":
        assert f"sox {path} -r 1000 converted.wav" in error


@pytest.mark.parametrize(
    ("processor", "reason"),
    [({"kind": "image"}, "this model does not take sound"), ({"whole": True}, "whole recording")],
)
def test_a_model_that_does_not_take_pieces_of_sound_is_refused(
    processor: Any, reason: str, heard: Heard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heard(bundle(tmp_path / "b", **processor)).code == 3
    assert reason in capsys.readouterr().err


def test_a_file_of_the_bundle_that_was_changed_is_not_run(
    heard: Heard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bundle(tmp_path / "b", streaming=True)
    for name in ("streaming/head/manifest.json", "streaming/front-end/front.tflite"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b" ")
        assert heard(folder).code == 5
        assert f"{Path(name).name} is not the file that manifest.json lists" in (
            capsys.readouterr().err
        )
        (folder / name).write_bytes(content)


def _recorder(script: str) -> str:
    return f'{sys.executable} -c "import os, sys, time; {script}"'


def test_a_recorder_that_dies_ends_it_after_the_summary(
    heard: Heard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "os.write(1, bytes(range(256)) * 4); sys.stderr.write('overrun'); sys.exit(1)"
    found = heard(bundle(tmp_path / "b"), "--capture", _recorder(script))
    assert found.code == 1
    assert found.summary["decisions"] == len(found.decisions) == 2
    assert capsys.readouterr().err == f"error: {sys.executable} ended with exit code 1: overrun\n"


def test_a_wav_from_a_recorder_is_refused(
    heard: Heard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "os.write(1, b'RIFF' + bytes(1000)); time.sleep(60)"
    found = heard(bundle(tmp_path / "b"), "--capture", _recorder(script))
    assert found.code == 3
    assert "is a .wav, not raw PCM" in capsys.readouterr().err


def test_a_recorder_at_another_rate_is_refused(
    heard: Heard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(listen.sound, "JUDGED_AFTER_S", 0.5)
    recorder = _recorder("[(os.write(1, bytes(800)), time.sleep(0.1)) for _ in range(99)]")
    found = heard(bundle(tmp_path / "b"), "--capture", recorder)
    assert found.code == 3
    error = capsys.readouterr().err
    assert "times as fast as the model takes it: record one channel at its rate" in error
    assert found.summary["sound_s"] < 5


def test_a_stall_of_the_source_is_not_one_of_the_computing(heard: Heard, tmp_path: Path) -> None:
    script = "b = bytes(range(200)) * 5; os.write(1, b); time.sleep(0.4); os.write(1, b)"
    found = heard(bundle(tmp_path / "b"), "--capture", _recorder(script)).summary
    assert found["longest_input_wait_s"] > 0.35
    assert found["longest_computing_s"] < found["longest_input_wait_s"]


def _slow(path: str) -> Any:
    """A runtime that takes three times as long as the sound of a hop of 0.1 s."""

    def run(**inputs: Any) -> Any:
        time.sleep(0.3)
        return {"p": classify(*inputs.values())}

    return run


@pytest.mark.parametrize("live", [True, False])
def test_only_live_sound_overruns_where_computing_is_too_slow(
    live: bool, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes faster than time passes is a file that somebody sends through a pipe."""
    monkeypatch.setitem(listen.RUNTIMES, "litert", ("tflite", _slow))
    write = f"os.write(1, bytes(range(200))), time.sleep({0.1 if live else 0})"
    recorder = _recorder(f"[({write}) for _ in range(12)]")
    folder = bundle(tmp_path / "b")
    found = heard(folder, "--capture", recorder, "--hop", "0.1", "--buffer", "0.25")
    assert (found.summary["sound_s"], found.summary["overruns"]) == (1.2, int(live))
    if live:
        (overrun,) = found.of("overrun")
        assert 0.25 < overrun["waiting_s"] <= found.summary["most_waiting_s"] < 1.2
        assert found.summary["latency_ms"]["max"] > 300


def test_a_stop_ends_it_and_its_recorder(
    heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while the first window is computed."""
    stop = listen.Stop()

    def stopping(path: str) -> Any:
        def run(**inputs: Any) -> Any:
            stop.code = 0
            return {"p": classify(*inputs.values())}

        return run

    monkeypatch.setitem(listen.RUNTIMES, "litert", ("tflite", stopping))
    recorder = _recorder("os.write(1, bytes(range(200)) * 5); time.sleep(60)")
    found = heard(bundle(tmp_path / "b"), "--capture", recorder, stop=stop)
    assert found.code == 0
    assert found.summary["decisions"] == 1


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_process_at_real_speed_ends_with_a_summary_after_a_signal(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """As on a board: a bundle with its scripts, sound through a pipe, a signal."""
    folder = bundle(tmp_path / "b")
    for script in (board_scripts.RUN, *board_scripts.LISTEN):
        (folder / script.name).write_bytes(script.read_bytes())
    command = [sys.executable, str(folder / "listen.py"), "--hop", "100ms"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=False, env=environment(tmp_path)
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        for start in range(0, 900, 50):
            process.stdin.write(pcm(TONE[start : start + 50]))
            process.stdin.flush()
            time.sleep(0.05)
        lines += [process.stdout.readline() for _ in range(5)]
        process.send_signal(number)
        wait_for(lambda: process.poll() is not None)
        found = Listened(code, b"".join([*lines, process.stdout.read()]).decode())
    assert process.returncode == code
    assert [round(time_s, 1) for time_s, _, _ in found.decisions] == [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    summary = found.summary
    assert summary["overruns"] == 0
    assert summary["elapsed_s"] > 0.8
    assert 0 < summary["latency_ms"]["median"] < 1000
    assert summary["real_time_factor"] < 1


def test_whoever_reads_the_lines_may_leave(tmp_path: Path) -> None:
    folder, sound = bundle(tmp_path / "b"), _file(tmp_path, pcm(np.tile(TONE, 200)))
    command = [sys.executable, str(board_scripts.LISTEN[0]), "--bundle", str(folder), str(sound)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "--hop", "1ms"], stdout=pipe, stderr=pipe, env=environment(tmp_path)
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
