"""What listen.py hears: where sound comes from, how it waits, and what is measured meanwhile.

The standard library and numpy alone, Python 3.9 or newer.
"""

from __future__ import annotations

import fcntl
import io
import os
import shlex
import signal
import stat
import subprocess
import sys
import termios
import threading
import time
from collections import deque
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

MACHINE, USAGE, INPUT = 1, 2, 3
# Name of a sample's format -> its type and the value that is full scale.
FORMATS = {"s16le": ("<i2", 2**15), "f32le": ("<f4", 1)}
STDIN = 0
# How FLAC, Ogg, MP3 and AIFF files begin.
ENCODED = (b"fLaC", b"OggS", b"ID3", b"FORM")
# What a recorder says last: of a line that never ends, its start.
MOST_LINE_BYTES = 4096
PIECE_S = 0.1
# How much faster than this clock that of a live source may run.
DRIFT = 1.01
# A recorder's rate is judged after so long: as another one, if it is so many times the model's.
JUDGED_AFTER_S, OTHER_RATES = 3.0, (1.4, 13.0)
# Latencies that the percentiles are taken of: the last ones.
MOST_LATENCIES = 10_000


class SoundError(Exception):
    """Sound that cannot be had or taken; ``code`` is the exit code for it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Pcm:
    """Bytes of samples, cut anywhere, as float32 at full scale 1."""

    def __init__(self, form: str) -> None:
        kind, self.full_scale = FORMATS[form]
        self.kind, self.rest = np.dtype(kind), b""

    def __call__(self, data: bytes) -> Any:
        data = self.rest + data
        end = len(data) - len(data) % self.kind.itemsize
        self.rest = data[end:]
        values = np.frombuffer(data[:end], self.kind).astype(np.float32)
        if not np.all(np.isfinite(values)):
            raise SoundError(INPUT, "the sound holds NaN or infinite samples")
        return values / np.float32(self.full_scale)


class Buffer:
    """Pieces of sound between the thread that reads and the one that computes, with their arrival.

    It holds ``most`` bytes. A piece that finds no room waits, and so does its source: of ``live``
    sound, which goes on meanwhile, that is an overrun. It lasts until nothing waits. ``backlog``:
    bytes that waited at the start, while the model was loaded; they may wait, too.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.changed = threading.Condition()
        self.pieces: deque[tuple[bytes, int]] = deque()
        self.waiting = self.most_waiting = self.overruns = self.overrun_waiting = self.backlog = 0
        self.is_over = self.was_full = self.has_ended = False

    def put(self, data: bytes, arrival_ns: int, *, live: bool, behind: int = 0) -> None:
        """``behind``: bytes that wait in the source."""
        with self.changed:
            waiting = self.waiting + len(data) + behind
            self.most_waiting = max(self.most_waiting, waiting if live else 0)
            if waiting == len(data):
                self.backlog = 0
            while self.waiting and self.waiting + len(data) > self.most and not self.has_ended:
                self.was_full = True
                if live and not self.is_over and waiting > self.most + self.backlog:
                    self.is_over, self.overrun_waiting = True, waiting
                    self.overruns += 1
                self.changed.wait()
            self.pieces.append((data, arrival_ns))
            self.waiting += len(data)
            self.changed.notify_all()

    def take(self, timeout_s: float) -> Optional[tuple[bytes, int]]:
        """The oldest piece and its arrival; ``None`` where none came in time."""
        with self.changed:
            if not self.pieces and not self.has_ended:
                self.changed.wait(timeout_s)
            if not self.pieces:
                return None
            data, arrival_ns = self.pieces.popleft()
            self.waiting -= len(data)
            self.is_over = self.is_over and self.waiting > 0
            self.changed.notify_all()
            return data, arrival_ns

    def end(self) -> None:
        """Nothing more comes, and nothing waits for room."""
        with self.changed:
            self.has_ended = True
            self.changed.notify_all()

    @property
    def is_done(self) -> bool:
        """Nothing more comes, and all was taken."""
        return self.has_ended and not self.pieces


class SoundSource(NamedTuple):
    """Where sound comes from: ``read`` returns at most that many bytes, none at the end.

    A ``live`` one goes on by itself: what was not read waits in its ``pipe``, a file descriptor.
    """

    read: Callable[[int], bytes]
    form: str
    live: bool = False
    pipe: int = -1
    capture: Optional[Capture] = None

    def waiting(self) -> int:
        """Bytes that wait in the pipe, if the system reports them."""
        try:
            found = fcntl.ioctl(self.pipe, termios.FIONREAD, bytes(4)) if self.live else b""
        except OSError:
            return 0
        return int.from_bytes(found, sys.byteorder)


class SoundReader(threading.Thread):
    """Reads ``source`` into ``buffer``, about a tenth of a second at once.

    ``longest_wait_ns`` is the longest that a piece of sound took to come, after the first one.
    A pipe that brings more sound than time has passed is not live: a file comes through it.
    """

    def __init__(self, source: SoundSource, buffer: Buffer, bytes_per_s: int) -> None:
        super().__init__(daemon=True)
        self.source, self.buffer, self.bytes_per_s = source, buffer, bytes_per_s
        self.size, self.live = max(1, int(PIECE_S * bytes_per_s)), source.live
        self.longest_wait_ns = self.first_ns = self.came = self.backlog = 0
        self.error: Optional[SoundError] = None

    def run(self) -> None:
        try:
            while not self.buffer.has_ended:
                start = time.perf_counter_ns()
                data = self.source.read(self.size)
                now = time.perf_counter_ns()
                if not data:
                    break
                if self.came:
                    self.longest_wait_ns = max(self.longest_wait_ns, now - start)
                behind = self.source.waiting()
                if not self.came:
                    self.first_ns, self.backlog = now, behind
                    self.buffer.backlog = behind
                self.came += len(data)
                self.buffer.put(data, now, live=self._is_live(now, behind), behind=behind)
                self._check_rate(now)
        except OSError as error:
            self.error = SoundError(MACHINE, f"the sound cannot be read: {error.strerror}")
        except SoundError as error:
            self.error = error
        finally:
            self.buffer.end()

    def _check_rate(self, now: int) -> None:
        """Refuse a recorder at a higher rate, or with two channels; a file comes much faster."""
        seconds = (now - self.first_ns) / 1e9
        if not self.source.live or self.buffer.was_full or seconds < JUDGED_AFTER_S:
            return
        times = (self.came - self.backlog) / seconds / self.bytes_per_s
        if OTHER_RATES[0] < times < OTHER_RATES[1]:
            raise SoundError(
                INPUT,
                f"the sound comes {times:.3g} times as fast as the model takes it: record one "
                "channel at its rate",
            )

    def _is_live(self, now: int, behind: int) -> bool:
        passed = (now - self.first_ns) / 1e9 * self.bytes_per_s * DRIFT
        ahead = self.came + behind - self.backlog - passed
        self.live = self.live and ahead <= self.buffer.most / 2
        return self.live


class Capture:
    """A program that writes raw PCM to its standard output; it is started without a shell."""

    def __init__(self, command: str) -> None:
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise SoundError(USAGE, f"--capture {command}: {error}") from error
        if not self.words:
            raise SoundError(USAGE, "--capture is empty: give the command of a recorder")
        try:
            self.process = subprocess.Popen(
                self.words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise SoundError(MACHINE, f"cannot start {self.words[0]}: {error.strerror}") from error
        self.last_line = ""
        self.talk = threading.Thread(target=self._read_errors, daemon=True)
        self.talk.start()

    @property
    def pipe(self) -> int:
        """The file descriptor of its sound."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def _read_errors(self) -> None:
        stream = self.process.stderr
        assert stream is not None
        for line in iter(lambda: stream.readline(MOST_LINE_BYTES), b""):
            self.last_line = line.decode(errors="replace").strip() or self.last_line

    def end(self, reader: Optional[threading.Thread] = None) -> None:
        """End the program and what it started, if it still runs; ``reader`` reads its sound."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                if self.process.poll() is None:
                    os.killpg(self.process.pid, number)
                    self.process.wait(1)
            except (subprocess.TimeoutExpired, ProcessLookupError):
                continue
        for thread, stream in ((reader, self.process.stdout), (self.talk, self.process.stderr)):
            if thread is not None and thread.is_alive():
                thread.join(1)
            # Another program may hold the pipe open: then its reader waits on.
            if stream is not None and not (thread is not None and thread.is_alive()):
                stream.close()

    def failure(self) -> str:
        """Why the program ended, if it failed; its output has ended."""
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            return ""
        self.talk.join(1)
        if code == 0:
            return ""
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was killed by signal {-code} ({signal.Signals(-code).name})"
        return f"{self.words[0]} {how}: {self.last_line or 'it left no message'}"


def open_source(
    options: Any, rate_hz: int, read_wav: Callable[[str], tuple[Any, int]]
) -> SoundSource:
    """What ``options`` name: a ``file``, a ``capture`` command, or else standard input.

    With ``can_wait``, standard input is not live sound: a file is sent through it.
    """
    if options.capture:
        recorder = Capture(options.capture)
        read = _pipe_reader(recorder.pipe, options.capture)
        return SoundSource(read, options.format, True, recorder.pipe, recorder)
    if not options.file:
        if os.isatty(STDIN):
            raise SoundError(USAGE, "no sound: give a file or --capture, or pipe PCM into it")
        live = not options.can_wait and not stat.S_ISREG(os.fstat(STDIN).st_mode)
        return SoundSource(_pipe_reader(STDIN, "standard input"), options.format, live, STDIN)
    if not os.path.exists(options.file) or os.path.isdir(options.file):
        wrong = "is a folder" if os.path.isdir(options.file) else "does not exist"
        raise SoundError(INPUT, f"{options.file} {wrong}")
    try:
        return _open_file(options.file, options.format, rate_hz, read_wav)
    except OSError as error:
        raise SoundError(INPUT, f"{options.file}: {error.strerror}") from error


def _open_file(
    file: str, form: str, rate_hz: int, read_wav: Callable[[str], tuple[Any, int]]
) -> SoundSource:
    descriptor = os.open(file, os.O_RDONLY)
    live = not stat.S_ISREG(os.fstat(descriptor).st_mode)
    start = b"" if live else os.pread(descriptor, 4, 0)
    if start.startswith(ENCODED):
        raise SoundError(
            INPUT, f"{file} is neither .wav nor raw PCM: convert it with sox or ffmpeg"
        )
    if start != b"RIFF":
        return SoundSource(lambda size: os.read(descriptor, size), form, live, descriptor)
    os.close(descriptor)
    samples, found_hz = read_wav(file)
    check_rate(file, found_hz, rate_hz)
    return SoundSource(io.BytesIO(samples.astype("<f4").tobytes()).read, "f32le")


def check_rate(file: str, found_hz: int, rate_hz: int) -> None:
    if found_hz != rate_hz:
        raise SoundError(
            INPUT,
            f"{file} has {found_hz} samples a second, and the model takes {rate_hz}: convert it, "
            f"for example with sox {shlex.quote(file)} -r {rate_hz} converted.wav",
        )


def _pipe_reader(descriptor: int, name: str) -> Callable[[int], bytes]:
    """A function that reads a pipe and refuses the header of a .wav, which is not sound."""
    first = [True]

    def read(size: int) -> bytes:
        data = os.read(descriptor, size)
        if first and first.pop() and data[:4] == b"RIFF":
            raise SoundError(INPUT, f"{name} is a .wav, not raw PCM: use -t raw, or give the file")
        return data

    return read


class ListenMetrics:
    """What is measured meanwhile: times in nanoseconds, places in samples.

    Only ``live`` sound has a latency: a file is there from the start.
    """

    def __init__(self, rate_hz: int, live: bool) -> None:
        self.rate_hz, self.live, self.samples, self.decisions = rate_hz, live, 0, 0
        self.arrivals: deque[tuple[int, int]] = deque()
        self.latencies: deque[int] = deque(maxlen=MOST_LATENCIES)
        self.longest_latency = self.busy = self.longest_piece = 0
        self.start, self.cpu_start = time.perf_counter_ns(), time.process_time_ns()

    def arrived(self, samples: int, arrival: int) -> None:
        if not self.samples:  # waiting for the first ones is not listening
            self.start, self.cpu_start = arrival, time.process_time_ns()
        self.samples += samples
        if self.live:
            self.arrivals.append((self.samples, arrival))

    def computed(self, start: int) -> None:
        spent = time.perf_counter_ns() - start
        self.busy += spent
        self.longest_piece = max(self.longest_piece, spent)

    def latency_ms(self, end: int) -> Optional[float]:
        """From the arrival of the last sample before ``end`` until now; ``end`` never falls."""
        if not self.live:
            return None
        while self.arrivals[0][0] < end:
            self.arrivals.popleft()
        latency = time.perf_counter_ns() - self.arrivals[0][1]
        self.latencies.append(latency)
        self.longest_latency = max(self.longest_latency, latency)
        return latency / 1e6

    def summary(self) -> dict[str, Any]:
        elapsed = max(1, time.perf_counter_ns() - self.start)
        cpu = time.process_time_ns() - self.cpu_start
        sound_s = self.samples / self.rate_hz
        return {
            "decisions": self.decisions,
            "sound_s": sound_s,
            "elapsed_s": elapsed / 1e9,
            "real_time_factor": self.busy / 1e9 / sound_s if sound_s else None,
            "cpu_share": cpu / elapsed if sound_s else None,
            "latency_ms": self._latencies(),
            "longest_computing_s": self.longest_piece / 1e9,
        }

    def _latencies(self) -> Optional[dict[str, float]]:
        if not self.latencies:
            return None
        found = sorted(self.latencies)
        middle, high = (found[int(share * (len(found) - 1))] / 1e6 for share in (0.5, 0.95))
        return {"median": middle, "p95": high, "max": self.longest_latency / 1e6}
