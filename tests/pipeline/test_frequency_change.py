"""The clock of the CPU is slower for a moment while a process of `tinyml bench` makes calls."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny_files import chain, tflite

from tinyml.pipeline.bench import read_benchmark

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
USUAL, SLOW = 1_800_000, 1_200_000
REASON = "the CPU's frequency changed from 1.80 to 1.20 GHz"


class Frequency:
    """The file that shows a core's frequency: its ``slow``-th reading, from 1, is another one.

    A named pipe, so that the change comes between the first and the last reading of one process,
    however long its calls take.
    """

    def __init__(self, path: Path, slow: int) -> None:
        self.path, self.slow, self.readings, self.is_over = path, slow, 0, False
        os.mkfifo(path)
        self.thread = threading.Thread(target=self.answer, daemon=True)
        self.thread.start()

    def answer(self) -> None:
        while True:
            with self.path.open("w") as pipe:  # Waits for a reader.
                if self.is_over:
                    return
                self.readings += 1
                # The next reader gets a pipe of its own.
                fresh = self.path.with_name("fresh")
                os.mkfifo(fresh)
                fresh.replace(self.path)
                pipe.write(f"{SLOW if self.readings == self.slow else USUAL}\n")

    def end(self) -> None:
        self.is_over = True
        self.path.read_text()
        self.thread.join(20)


@pytest.fixture
def frequency(tmp_path: Path) -> Iterator[Frequency]:
    """Of the one core that the benchmark uses; the second reading is between calls."""
    core = min(os.sched_getaffinity(0))
    folder = tmp_path / "cpus" / f"cpu{core}" / "cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_governor").write_text("performance\n")
    found = Frequency(folder / "scaling_cur_freq", slow=2)
    yield found
    found.end()


def test_the_process_is_discarded_and_takes_another_turn(
    frequency: Frequency, tmp_path: Path, cli: Cli
) -> None:
    model = tflite(tmp_path / "m.tflite", *chain(200))
    core = frequency.path.parents[1].name.removeprefix("cpu")
    done = cli(
        *("bench", model, "--repeats", 3, "--min-time", 0.3, "--cpu", core),
        env={"TINYML_CPUS": str(tmp_path / "cpus")},
    )
    assert done.returncode == 0, done.stderr
    (found,) = read_benchmark(tmp_path / "m.tflite.bench.json").measurements
    changed = [own for own in found.discarded if own.kind == "changed"]
    assert [own.reason for own in changed] == [REASON]
    own = changed[0].process
    assert (own.turn, own.before.frequency_khz, own.after.frequency_khz) == (0, USUAL, USUAL)
    assert own.meanwhile.lowest_khz == SLOW
    assert own.samples_ns, "what was discarded is kept"
    if len(found.discarded) == 1:  # Nothing else disturbed this machine meanwhile.
        assert len(found.processes) == 3
        assert f"1 of 4 processes discarded: {REASON}" in " ".join(done.stdout.split())
