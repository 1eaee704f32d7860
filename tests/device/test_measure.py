from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from short_timing import short_plan

from tinyml.core.device import THIS_MACHINE
from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.files import sha256
from tinyml.core.timing_plan import TimingPlan
from tinyml.device.link import CommandResult, Link
from tinyml.device.local import LocalLink, open_link
from tinyml.device.measure import Job, JobResult, measure, measurements

SHORT = short_plan(3)


@pytest.fixture
def link() -> Iterator[LocalLink]:
    with open_link(THIS_MACHINE) as opened:
        yield opened


@pytest.fixture
def job(relu: Path) -> Job:
    return Job(relu, "onnxruntime", {"x": np.ones(4, np.float32)})


@dataclass
class Recorder:
    """A link that starts nothing: it notes the commands and results from a list."""

    result: CommandResult
    commands: list[list[str]] = field(default_factory=list)
    name: str = "recorder"
    label: Any = "device"
    python: str = "python3"

    def push(self, path: Path, name: str) -> str:
        return name

    def pull(self, name: str, path: Path) -> None:
        raise AssertionError("nothing is fetched")

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        self.commands.append(list(command))
        return self.result


def line(**changes: Any) -> str:
    names = ("cpu", "board", "arch", "cores", "governor", "system", "python", "numpy")
    return json.dumps(
        {
            "samples_ns": [5, 6],
            "cpu_ns": [5, 6],
            "calls": 2,
            "elapsed_ns": 12,
            "is_stable": None,
            "delegate": None,
            "precision": "",
            "model_sha256": "?",
            "version": "1",
            "threads": 1,
            "warmups": 1,
            "load_ns": 9,
            "first_ns": 8,
            "peak_rss_kb": None,
            "before": {"load": 0.1},
            "after": {},
            "machine": dict.fromkeys(names),
        }
        | changes
    )


@pytest.mark.usefixtures("quiet_machine")
def test_times_fresh_processes_on_this_machine(link: LocalLink, job: Job) -> None:
    (found,) = measurements(measure(link, [job], repeats=2, plan=SHORT))
    assert [len(process.samples_ns) for process in found.processes] == [3, 3]
    assert (found.label, found.part, found.model) == ("host", "whole", "relu.onnx")
    assert found.conditions.threads == 1
    assert found.processes[0].before.load is not None
    found.check_comparable(found)


def test_processes_take_turns_in_an_order_that_the_seed_decides(job: Job, tmp_path: Path) -> None:
    jobs = [Job(job.path, "onnxruntime", job.inputs, part) for part in "abcd"]

    def order(seed: int) -> list[str]:
        recorder = Recorder(CommandResult(0, line(model_sha256=sha256(job.path)), ""))
        measure(recorder, jobs, repeats=6, seed=seed)
        return [command[5].partition("-")[0] for command in recorder.commands]

    first = order(7)
    turns = [first[start : start + 4] for start in range(0, 24, 4)]
    assert all(sorted(turn) == ["0", "1", "2", "3"] for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 1
    assert order(7) == first
    assert order(8) != first


@pytest.mark.usefixtures("quiet_machine")
def test_measurements_come_in_the_order_of_the_jobs_and_progress_is_told(
    link: LocalLink, job: Job
) -> None:
    told: list[tuple[str, int, int]] = []
    jobs = [job, Job(job.path, job.runtime, job.inputs, "front end")]
    found = measurements(measure(link, jobs, 2, plan=SHORT, progress=lambda *now: told.append(now)))
    assert [m.part for m in found] == ["whole", "front end"]
    assert [done for _, done, _ in told] == [0, 1, 2, 3]
    assert {total for _, _, total in told} == {4}


class Busy(Recorder):
    """Other processes use the core in the processes with the numbers ``spoilt``."""

    spoilt = range(0)

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        super().run(command, timeout_s=timeout_s)
        waited = 6 if len(self.commands) in self.spoilt else 0
        states = {"before": {"run_queue_ns": 0}, "after": {"run_queue_ns": waited}}
        return CommandResult(0, json.dumps(json.loads(self.result.stdout) | states), "")


@pytest.mark.parametrize(
    ("spoilt", "valid", "total"),
    [
        (range(0), 5, 5),
        (range(1, 3), 5, 7),
        (range(1, 5), 5, 9),
        (range(2, 99), 1, 10),
        (range(1, 99), 0, 5),
    ],
)
def test_spoilt_processes_are_repeated_up_to_a_limit(
    job: Job, spoilt: range, valid: int, total: int
) -> None:
    link = Busy(CommandResult(0, line(model_sha256=sha256(job.path)), ""))
    link.spoilt = spoilt
    told: list[tuple[str, int, int]] = []
    (found,) = measurements(measure(link, [job], 5, progress=lambda *now: told.append(now)))
    assert (len(found.processes), len(found.all_processes)) == (valid, total)
    assert sorted(own.turn or 0 for own in found.all_processes) == list(range(total))
    assert [own.reason for own in found.discarded] == ["other processes used 50% of this core"] * (
        total - valid
    )
    assert all(done < most for _, done, most in told)


@pytest.mark.parametrize(("enough", "turns"), [(0, 5), (7, 7), (99, 10)])
def test_turns_are_added_while_what_is_asked_is_undecided(
    job: Job, enough: int, turns: int
) -> None:
    link = Busy(CommandResult(0, line(model_sha256=sha256(job.path)), ""))

    def undecided(results: Sequence[JobResult]) -> bool:
        return len(measurements(results)[0].processes) < enough

    (found,) = measurements(measure(link, [job], 5, undecided=undecided))
    assert len(found.processes) == turns
    link.spoilt = range(99)
    (none,) = measurements(measure(link, [job], 5, undecided=lambda _: True))
    assert len(none.discarded) == 5, "none counts: more would not either"


def test_an_emulated_board_is_not_judged_by_its_host(job: Job) -> None:
    link = Busy(CommandResult(0, line(model_sha256=sha256(job.path)), ""))
    link.spoilt, link.label = range(99), "emulated"
    (found,) = measurements(measure(link, [job], 2))
    assert (len(found.processes), found.discarded) == (2, ())


def test_all_jobs_take_their_turn_again(job: Job) -> None:
    link = Busy(CommandResult(0, line(model_sha256=sha256(job.path)), ""))
    link.spoilt = range(1, 2)
    found = measurements(measure(link, [job, replace(job, part="front end")], 2))
    assert sorted(len(m.processes) for m in found) == [2, 3]


def test_settings_and_state_pairs_reach_the_runner(job: Job) -> None:
    recorder = Recorder(CommandResult(0, line(model_sha256=sha256(job.path)), ""))
    own = replace(job, states={"h": "h_out"}, threads=2, cpu=1, delegate="none")
    measure(recorder, [own], 1, plan=TimingPlan(20, 0.1, 2.0, 5))
    measure(recorder, [job], 1)
    given, usual = (" ".join(command) for command in recorder.commands)
    assert given.endswith("--state h=h_out")
    assert "--threads 2 --cpu 1 --delegate none --warmup 5 --runs 20 --min-time 0.1" in given
    assert usual.endswith("--threads 1 --runs 100 --min-time 0.5 --max-time 10.0")


def test_a_file_that_changed_on_its_way_is_caught(job: Job) -> None:
    with pytest.raises(ValidationError, match="another file"):
        measure(Recorder(CommandResult(0, line(model_sha256="0"), "")), [job], 1)


def test_a_file_that_changes_while_it_is_timed_is_caught(job: Job) -> None:
    link = Recorder(CommandResult(0, line(model_sha256=sha256(job.path)), ""))

    def change(*_: object) -> None:
        job.path.write_bytes(b"other")

    with pytest.raises(ValidationError, match=r"relu\.onnx was changed while it was timed"):
        measure(link, [job], 1, progress=change)


def test_the_local_link_copies_there_and_back(link: LocalLink, tmp_path: Path) -> None:
    checked: Link = link
    (tmp_path / "a").write_text("content")
    there = Path(checked.push(tmp_path / "a", "b"))
    assert there.parent == link.path
    checked.pull("b", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "content"


def test_the_local_folder_goes_with_the_link() -> None:
    with open_link(THIS_MACHINE) as opened:
        folder = Path(opened.folder)
        assert folder.is_dir()
    assert not folder.exists()


def test_a_local_command_answers_with_code_and_streams(link: LocalLink) -> None:
    script = "import os, sys; print(os.getcwd()); print('e', file=sys.stderr); sys.exit(3)"
    result = link.run([sys.executable, "-c", script], timeout_s=20)
    assert result == CommandResult(3, f"{os.path.realpath(link.path)}\n", "e\n")


def test_a_local_command_that_does_not_end_or_start_is_an_error(link: LocalLink) -> None:
    with pytest.raises(DeviceError, match=r"did not end within 0\.2 s"):
        link.run([sys.executable, "-c", "import time; time.sleep(30)"], timeout_s=0.2)
    with pytest.raises(DeviceError, match="cannot start"):
        link.run([str(link.path / "nothing")], timeout_s=1)
