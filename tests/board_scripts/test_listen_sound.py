"""What comes between a source of sound and the model: bytes, a buffer, a recorder, measurements."""

from __future__ import annotations

import os
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import assert_gone, wait_for

from tinyml.board_scripts.listen_sound import (
    Buffer,
    Capture,
    ListenMetrics,
    Pcm,
    SoundError,
    SoundReader,
    SoundSource,
)

MS = 1_000_000


@given(
    values=st.lists(st.integers(-(2**15), 2**15 - 1), max_size=40),
    cuts=st.lists(st.integers(0, 80), max_size=20),
)
def test_bytes_cut_anywhere_are_the_same_samples(values: list[int], cuts: list[int]) -> None:
    data = np.array(values, "<i2").tobytes() + b"\x01"
    decode, places = Pcm("s16le"), [0, *sorted(cuts), len(data)]
    parts = [decode(data[a:b]) for a, b in pairwise(places)]
    np.testing.assert_array_equal(np.concatenate(parts), np.float32(values) / 2**15)
    assert decode.rest == b"\x01"


def test_samples_that_are_no_numbers_are_refused() -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(SoundError, match="the sound holds NaN or infinite samples"):
            Pcm("f32le")(np.array([0, value], "<f4").tobytes())


def _put_all(
    buffer: Buffer, pieces: list[bytes], *, live: bool = True, behind: int = 0
) -> threading.Thread:
    def put() -> None:
        for piece in pieces:
            buffer.put(piece, 0, live=live, behind=behind)

    thread = threading.Thread(target=put)
    thread.start()
    return thread


def test_a_piece_that_finds_no_room_is_an_overrun_that_lasts_until_nothing_waits() -> None:
    buffer = Buffer(10)
    thread = _put_all(buffer, [b"1234"] * 5, behind=3)
    wait_for(lambda: buffer.overruns == 1)
    assert (buffer.waiting, buffer.overrun_waiting, buffer.most_waiting) == (8, 15, 15)
    for _ in range(3):  # pieces wait for room
        assert buffer.take(1) == (b"1234", 0)
        wait_for(lambda: buffer.waiting == 8)
    thread.join()
    assert buffer.overruns == 1
    assert buffer.take(1)
    assert buffer.take(1)
    assert not buffer.is_over
    thread = _put_all(buffer, [b"12345678"] * 2)
    wait_for(lambda: buffer.overruns == 2)
    buffer.end()
    thread.join()
    assert [buffer.take(0), buffer.take(0), buffer.take(0)] == [(b"12345678", 0)] * 2 + [None]
    assert buffer.is_done


def test_what_waited_at_the_start_is_no_overrun() -> None:
    buffer = Buffer(10)
    buffer.backlog = 8
    thread = _put_all(buffer, [b"1234"] * 3, behind=6)
    wait_for(lambda: buffer.waiting == 8)
    while buffer.take(0.05):
        pass
    thread.join()
    assert (buffer.overruns, buffer.most_waiting, buffer.backlog) == (0, 18, 8)
    buffer.put(b"1", 0, live=True)  # it has caught up
    assert buffer.backlog == 0


def test_sound_that_can_wait_does_not_overrun() -> None:
    buffer = Buffer(10)
    thread = _put_all(buffer, [b"1234"] * 3, live=False)
    wait_for(lambda: buffer.waiting == 8)
    while buffer.take(0.05):
        pass
    thread.join()
    assert (buffer.overruns, buffer.most_waiting) == (0, 0)


def test_a_piece_larger_than_the_buffer_passes() -> None:
    buffer = Buffer(2)
    buffer.put(b"1234", 7, live=True)
    assert buffer.take(0) == (b"1234", 7)


def test_a_reader_measures_how_long_sound_took_to_come_and_counts_what_waits() -> None:
    end, start = os.pipe()
    source = SoundSource(lambda size: os.read(end, size), "s16le", True, end)
    buffer = Buffer(100)
    reader = SoundReader(source, buffer, 40)
    os.write(start, b"12345678")
    assert source.waiting() == 8
    reader.start()
    wait_for(lambda: buffer.waiting == 8)
    time.sleep(0.2)
    os.write(start, b"9")
    os.close(start)
    reader.join()
    assert 0.15 < reader.longest_wait_ns / 1e9 < 20
    assert [buffer.take(0), buffer.take(0), buffer.take(0)] != [None] * 3
    assert buffer.is_done
    os.close(end)
    assert source.waiting() == 0


def test_a_reader_that_fails_keeps_the_reason() -> None:
    def fails(size: int) -> bytes:
        raise OSError(5, "Input/output error")

    reader = SoundReader(SoundSource(fails, "s16le"), Buffer(10), 4)
    reader.start()
    reader.join()
    assert str(reader.error) == "the sound cannot be read: Input/output error"


def _capture(script: str) -> Capture:
    return Capture(f"{sys.executable} -c '{script}'")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("", ""),
        ("import sys; sys.stderr.write('busy\\n\\n'); sys.exit(3)", "ended with exit code 3: busy"),
        ("raise SystemExit(2)", "ended with exit code 2: it left no message"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "was killed by signal 9 (SIGKILL): it left no message",
        ),
    ],
)
def test_a_recorder_that_fails_is_named_with_its_last_line(script: str, reason: str) -> None:
    capture = Capture(f'{sys.executable} -c "{script}"')
    while os.read(capture.pipe, 100):
        pass
    assert capture.failure() == (f"{sys.executable} {reason}" if reason else "")
    capture.end()


def test_a_recorder_is_ended_even_if_it_ignores_it(tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    script += f'open("{started}", "w"); time.sleep(60)'
    capture = _capture(script)
    wait_for(started.exists)
    capture.end()
    assert_gone(capture.process.pid)


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("no-such-recorder -r 4000", 1, "cannot start no-such-recorder: No such file or directory"),
        ("arecord 'x", 2, "--capture arecord 'x: No closing quotation"),
        ("  ", 2, "--capture is empty: give the command of a recorder"),
    ],
)
def test_a_command_that_cannot_start_is_refused(command: str, code: int, reason: str) -> None:
    with pytest.raises(SoundError) as caught:
        Capture(command)
    assert (caught.value.code, str(caught.value)) == (code, reason)


def test_latency_is_counted_from_the_arrival_of_a_windows_last_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0]
    monkeypatch.setattr(time, "perf_counter_ns", lambda: now[0])
    metrics = ListenMetrics(1000, live=True)
    for arrival_ms in (10, 20, 30):
        metrics.arrived(100, arrival_ms * MS)
    now[0] = 50 * MS
    assert [metrics.latency_ms(end) for end in (100, 101, 300)] == [40, 30, 20]
    metrics.computed(45 * MS)
    found = metrics.summary()
    assert found["latency_ms"] == {"median": 30, "p95": 30, "max": 40}
    assert (found["sound_s"], found["elapsed_s"]) == (0.3, 0.04)
    assert found["real_time_factor"] == pytest.approx(0.005 / 0.3)
    assert found["longest_computing_s"] == 0.005


def test_a_file_has_no_latency_and_nothing_is_kept_of_its_arrival() -> None:
    metrics = ListenMetrics(1000, live=False)
    metrics.arrived(100, 0)
    assert metrics.latency_ms(100) is None
    assert not metrics.arrivals
    assert metrics.summary()["latency_ms"] is None


def test_before_any_sound_there_are_no_factors() -> None:
    found = ListenMetrics(1000, live=True).summary()
    assert (found["real_time_factor"], found["cpu_share"]) == (None, None)
