"""A recording played through a pipe at real speed: ``python benchmarks/listen.py BUNDLE FILE.wav``.

It prints a row for this machine and one for each ``--device``: how long a second of sound is
computed, how long a decision takes after its window's last sample, and what stalled. With
``--load`` the same again, next to a process that computes on each core of this machine.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tinyml.core.device import Device
from tinyml.core.listen_lines import ListenLine, ListenStart, ListenSummary
from tinyml.core.process import tied
from tinyml.models.data.audio import read_audio
from tinyml.pipeline.devices.choose import choose_devices
from tinyml.pipeline.listen import ListenSettings, SoundInput, listen

# Of sound in a write, as recorders do it.
PERIOD_S = 0.1
SPIN = "while True: pass"
HEAD = (
    *("where", "model", "real-time factor", "CPU share", "latency, ms: median, p95, longest"),
    *("computing, longest", "wait for sound, longest", "overruns"),
)


def play(file: Path) -> None:
    """Write ``file`` as s16le to stdout, as fast as it was recorded."""
    samples, rate_hz = read_audio(file)
    pcm = np.clip(np.round(samples * 2**15), -(2**15), 2**15 - 1).astype("<i2")
    step, due = round(PERIOD_S * rate_hz), time.monotonic()
    for start in range(0, len(pcm), step):
        due += PERIOD_S
        time.sleep(max(0.0, due - time.monotonic()))
        sys.stdout.buffer.write(pcm[start : start + step].tobytes())
        sys.stdout.buffer.flush()


@contextmanager
def load(wanted: bool) -> Iterator[str]:
    """A process that computes on each core, if ``wanted``; what a row says of it."""
    count = os.cpu_count() or 1
    spin = [sys.executable, "-c", SPIN]
    busy = [subprocess.Popen(tied(spin)) for _ in range(count if wanted else 0)]
    try:
        yield ", all cores busy" if wanted else ""
    finally:
        for process in busy:
            process.kill()
            process.wait()


def row(where: str, start: ListenStart, found: ListenSummary) -> str:
    """The figures of one run."""
    latency, how = found.latency_ms, "streaming" if start.streaming else "sliding window"
    times = f"{latency.median:.0f}, {latency.p95:.0f}, {latency.max:.0f}" if latency else "-"
    cells = [
        where,
        f"{how}, {start.runtime}, every {start.hop_s:g} s",
        f"{found.real_time_factor:.4f}",
        f"{100 * (found.cpu_share or 0):.1f}%",
        times,
        f"{1e3 * found.longest_computing_s:.0f} ms",
        f"{1e3 * found.longest_input_wait_s:.0f} ms",
        f"{found.overruns}" + (f", {found.most_waiting_s:.1f} s" if found.overruns else ""),
    ]
    return line(cells)


def line(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def run(options: argparse.Namespace, device: Device, loaded: str) -> str:
    """Play the recording to ``device``."""
    seen: list[ListenLine] = []
    command = shlex.join([sys.executable, __file__, "--play", str(options.file.absolute())])
    sound = SoundInput(capture=command, capture_there=False)
    settings = ListenSettings(hop_s=options.hop, runtime=options.runtime)
    found = listen(options.bundle, sound, seen.append, device=device, settings=settings)
    assert isinstance(seen[0], ListenStart)
    return row(device.name + loaded, seen[0], found.summary)


def main() -> None:
    """Print the table, a row as soon as it was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--device", default="", help="names of tinyml device list, with commas")
    parser.add_argument("--hop", type=float, default=0.5, help="seconds between two decisions")
    parser.add_argument("--runtime", default="", choices=("", "litert", "onnxruntime"))
    parser.add_argument("--load", action="store_true", help="also with all cores busy")
    parser.add_argument("--play", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        play(options.play)
        return
    if options.file is None or not options.file.is_file():
        parser.error("give a bundle and a recording that exists")
    print(line(HEAD))
    print(line(["---"] * len(HEAD)))
    devices = (*choose_devices(), *(choose_devices(options.device) if options.device else ()))
    for loaded in (False, True) if options.load else (False,):
        for device in devices:
            with load(loaded) as text:
                print(run(options, device, text), flush=True)


if __name__ == "__main__":
    main()
