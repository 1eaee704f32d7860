"""`tinyml bench` on a board: what is checked before the times, what spoils them, what is left."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import ssh_server
from command_line import Done
from device_faults import record
from fake_board import PI4
from own_link import use_link
from processes import wait_for
from relu_file import relu_file
from short_timing import short

from tinyml.core import bundle as bundles
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, ValidationError
from tinyml.core.events import Event, Message, silent
from tinyml.core.validity import what_was_discarded
from tinyml.device import cooling, link_runtime
from tinyml.device.agent import Agent
from tinyml.device.local import LocalLink
from tinyml.device.measure import Job
from tinyml.pipeline.bench import Benchmark, bench
from tinyml.pipeline.bench_jobs import JobList
from tinyml.pipeline.devices.inventory import save_device
from tinyml.pipeline.devices.lock import locked
from tinyml.pipeline.verify_on_link import FileOnLink

KEPT = "what counts, in its file"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return relu_file(tmp_path)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    """This machine as a board: its folder is ``board``, and its Python the script ``python``."""
    folder, python = tmp_path / "board", tmp_path / "python"

    @contextmanager
    def open_cable(device: Device) -> Iterator[LocalLink]:
        folder.mkdir()
        try:
            yield LocalLink(folder, device.name, "device", str(python))
        finally:
            shutil.rmtree(folder)

    use_link(monkeypatch, "cable", open_cable)
    monkeypatch.setenv("TINYML_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("TINYML_CPUS", str(tmp_path / "cpus"))
    monkeypatch.setattr(cooling, "pause", lambda _: None)
    behave(python)
    return Device(name="mypi", link="cable", target="rpi4")


def behave(python: Path, while_timed: str = "") -> None:
    """Python there; ``while_timed`` is what the shell does where a process is timed."""
    python.write_text(
        f'#!/bin/sh\nreal={sys.executable}\ncase "$*" in *--runs*) {while_timed or ":"} ;; esac\n'
        'exec "$real" "$@"\n'
    )
    python.chmod(0o755)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outputs are not compared: for tests of what happens while it is timed."""

    def found(what: Path, *_: object) -> JobList:
        return JobList((Job(what, "onnxruntime", {"x": np.ones(4, np.float32)}),))

    monkeypatch.setattr("tinyml.pipeline.bench.find_jobs", found)


@pytest.fixture
def never_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what changes on the board spoils a process."""
    monkeypatch.setattr("tinyml.core.validity._busy", lambda *_: "")


def timed(model: Path, board: Device, repeats: int = 1, **more: Any) -> Benchmark:
    return bench(model, timing=short(repeats, device=board), out=None, report=silent, **more)


def failure(model: Path, board: Device, repeats: int = 1, **more: Any) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        timed(model, board, repeats, **more)
    return caught.value


def nothing_is_left(tmp_path: Path) -> bool:
    return not (tmp_path / "board").exists() and not (tmp_path / "lock").read_text()


@pytest.mark.usefixtures("quiet_machine")
def test_a_file_is_timed_and_its_benchmark_has_the_boards_name(
    model: Path, board: Device, tmp_path: Path
) -> None:
    found = timed(model, board)
    assert found.path == tmp_path / "relu.onnx.mypi.bench.json"
    (m,) = found.measurements
    assert (m.label, m.conditions.device, m.runtime) == ("device", "mypi", "onnxruntime")
    assert m.processes[0].before.boot_id
    assert nothing_is_left(tmp_path)


def test_a_bundle_for_another_target_is_refused_before_the_board_is_reached(
    small_bundle: Path,
) -> None:
    away = Device(name="mypi", link="ssh", address="no-such-board.invalid", target="rpi5")
    error = failure(small_bundle, away)
    assert "was made for rpi4, and mypi is recorded as rpi5" in error.message


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        ({"numpy": "2.1.0"}, "relu.onnx: onnxruntime is not installed there"),
        ({"onnxruntime": "1.20.1"}, "relu.onnx: numpy is not installed there"),
    ],
)
def test_what_the_board_lacks_is_named_before_anything_is_copied(
    model: Path,
    board: Device,
    packages: dict[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = replace(PI4, packages=packages)
    monkeypatch.setattr(Agent, "facts", lambda _: facts)
    error = failure(model, board)
    assert error.message == f"mypi cannot run it: {words}"
    assert error.hint.startswith("tinyml device check mypi --setup")


def test_other_outputs_than_here_are_not_timed(
    model: Path, board: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = link_runtime.LinkSession.run
    monkeypatch.setattr(
        link_runtime.LinkSession, "run", lambda own, given: {"y": run(own, given)["y"] + 1}
    )
    with pytest.raises(ValidationError, match=r"relu\.onnx computes other outputs on mypi") as got:
        timed(model, board)
    record("while a model runs", "other outputs", got.value, board="nothing", host="nothing")
    assert not list(tmp_path.glob("*.bench.json"))
    assert nothing_is_left(tmp_path)


@pytest.mark.usefixtures("quiet_machine")
def test_a_file_of_a_bundle_that_computes_others_is_not_timed(
    small_bundle: Path, board: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The other file is; the exit code tells of the wrong one."""
    declared = bundles.read(small_bundle)
    first, second = declared.models

    def verified(*_: object) -> list[FileOnLink]:
        found = []
        for own in (first, second):
            name = {"tflite": "litert+xnnpack", "onnx": "onnxruntime"}[own.format]
            rows = [row for row in declared.parity.stages if row.engine == name]
            if own is first:
                rows[0] = replace(rows[0], verdict="fail")
            found.append(FileOnLink(own.path, own.precision, name, "1", tuple(rows)))
        return found

    monkeypatch.setattr("tinyml.pipeline.bench_there.verify_on_link", verified)
    out = tmp_path / "b.json"
    found = bench(small_bundle, timing=short(1, device=board), out=out, report=silent)
    (error,) = found.failed
    assert isinstance(error, ValidationError)
    assert error.message.startswith(f"{first.path} on mypi: ")
    assert {m.model.removeprefix("front-end-") for m in found.measurements} == {second.path}


FIRST_ONLY = 'if [ ! -e "{}" ]; then touch "{}"; {}; fi'


def vcgencmd(folder: Path, bits: str) -> str:
    """A shell's words that let the firmware report ``bits`` in the second reading of a process."""
    folder.mkdir(exist_ok=True)
    program = folder / "vcgencmd"
    program.write_text(
        f"""#!/bin/sh
[ "$1" = measure_temp ] && echo "temp=60.0'C" && exit
if [ -e {folder}/hot ]; then echo throttled={bits}; rm {folder}/hot
elif [ -e {folder}/soon ]; then mv {folder}/soon {folder}/hot; echo throttled=0x0
else echo throttled=0x0; fi
"""
    )
    program.chmod(0o755)
    return FIRST_ONLY.format(folder / "begun", folder / "begun", f"touch {folder}/soon")


@pytest.mark.usefixtures("never_busy", "checked")
def test_throttling_that_begins_in_a_process_discards_it_and_it_is_repeated(
    model: Path, board: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "bin"
    behave(tmp_path / "python", vcgencmd(own, "0xe0008"))
    monkeypatch.setenv("PATH", str(own), prepend=":")
    found = timed(model, board, repeats=2)
    (m,) = found.measurements
    reasons = [one.reason for one in m.discarded if one.kind == "changed"]
    assert reasons == ["the firmware reports frequency capped, throttled, soft temperature limit"]
    message = what_was_discarded(m)
    record("while a model runs", "throttling begins", (message, 0), board="nothing", host=KEPT)
    assert (len(m.processes), len(m.discarded)) == (2, 1)
    assert all(process.before.temperature_mc == 60_000 for process in m.all_processes)


CHANGED_LINE = '"$real" "$@" | sed "{}"; exit'


@pytest.mark.usefixtures("never_busy", "checked")
def test_a_board_that_restarts_in_between_ends_its_benchmark(
    model: Path, board: Device, tmp_path: Path
) -> None:
    """What was timed before is kept."""
    other = CHANGED_LINE.format(r"s/\"boot_id\": \"/&other-/g")
    mark = tmp_path / "begun"
    behave(tmp_path / "python", f'if [ -e "{mark}" ]; then {other}; fi; touch "{mark}"')
    found = timed(model, board, repeats=3)
    (error,) = found.failed
    assert isinstance(error, DeviceError)
    record("while a model runs", "the board restarts", error, board="nothing", host=KEPT)
    assert len(found.measurements[0].all_processes) == 1


@pytest.mark.usefixtures("never_busy", "checked")
def test_a_clock_that_is_set_meanwhile_discards_the_process(
    model: Path, board: Device, tmp_path: Path
) -> None:
    """Only the last reading has it: the wall clock after the calls."""
    later = CHANGED_LINE.format(r"s/\(.*\"wall_ns\": \)[0-9]/\12/")
    behave(tmp_path / "python", FIRST_ONLY.format(*[tmp_path / "begun"] * 2, later))
    (m,) = timed(model, board, repeats=2).measurements
    assert (len(m.processes), len(m.discarded)) == (2, 1)
    message = what_was_discarded(m)
    jump = message.partition("jumped by ")[2].partition(" s")[0]
    names = {jump: "+3600.0"}
    record(
        *("while a model runs", "the clock is set", (message, 0)),
        board="nothing",
        host=KEPT,
        names=names,
    )


@pytest.mark.usefixtures("checked")
def test_a_process_that_dies_there_is_named(model: Path, board: Device, tmp_path: Path) -> None:
    behave(tmp_path / "python", "kill -4 $$")
    error = failure(model, board)
    record("while a model runs", "illegal instruction", error, board="nothing", host="nothing")
    assert nothing_is_left(tmp_path)


@pytest.mark.usefixtures("checked")
def test_a_board_is_measured_by_one_command_at_a_time(
    model: Path, board: Device, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with locked(LocalLink(tmp_path / "other"), board, "tinyml bench"):
        error = failure(model, board)
    assert error.message.startswith("mypi is in use by ")
    assert ": tinyml bench, for " in error.message


@pytest.fixture
def governor(board: Device, tmp_path: Path) -> Path:
    path = tmp_path / "cpus" / "cpu0" / "cpufreq" / "scaling_governor"
    path.parent.mkdir(parents=True)
    path.write_text("ondemand\n")
    return path


@pytest.mark.parametrize("stage", ["push_agent", "find_jobs", "measure"])
def test_an_interrupt_sets_back_what_was_set(
    stage: str,
    model: Path,
    board: Device,
    governor: Path,
    tmp_path: Path,
    cli: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    def interrupted(*_: object, **__: object) -> None:
        seen.append(governor.read_text().strip())
        raise KeyboardInterrupt

    place = "bench" if stage in ("find_jobs", "measure") else "devices.measuring"
    if stage == "measure":
        found = JobList((Job(model, "onnxruntime", {}),))
        monkeypatch.setattr("tinyml.pipeline.bench.find_jobs", lambda *_: found)
    monkeypatch.setattr(f"tinyml.pipeline.{place}.{stage}", interrupted)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    save_device(board)
    done = cli("bench", model, "--device", board.name, "--quick")
    record(
        "two users, or interrupted",
        "Ctrl-C at any stage of a benchmark",
        (done.stderr.strip(), done.returncode),
        board="nothing; its governor is set back",
        host="the benchmark of before",
    )
    assert seen == ["ondemand" if stage == "push_agent" else "performance"]
    assert governor.read_text().strip() == "ondemand"
    assert nothing_is_left(tmp_path)
    assert not list(tmp_path.glob("*.bench.json"))


def test_a_board_that_is_not_quiet_is_refused(
    model: Path, board: Device, governor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a governor that this user may not set is left, with the command that sets it."""
    governor.unlink()
    governor.mkdir()
    own = tmp_path / "bin"
    vcgencmd(own, "0x0")
    (own / "vcgencmd").write_text(
        '#!/bin/sh\n[ $1 = measure_temp ] && echo "temp=71.2\'C" || echo throttled=0x50005\n'
    )
    monkeypatch.setenv("PATH", str(own), prepend=":")
    events: list[Event] = []
    with pytest.raises(DeviceError, match="mypi is not quiet: ") as caught:
        bench(model, timing=short(1, device=board), out=None, report=events.append, strict=True)
    assert "it is throttled (under-voltage, throttled)" in caught.value.message
    assert "its temperature is 71 °C, at most 65 °C is cool" in caught.value.message
    (line,) = (event.text for event in events if isinstance(event, Message))
    assert line.endswith("For a steady clock: sudo cpupower frequency-set --governor performance")
    assert nothing_is_left(tmp_path)


@pytest.mark.usefixtures("quiet_machine", "checked")
def test_a_connection_that_is_lost_keeps_what_was_timed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves the board as it was."""
    (tmp_path / "ssh").mkdir()
    with ssh_server(tmp_path / "ssh") as server:
        governor = server.home / "cpus" / "cpu0" / "cpufreq" / "scaling_governor"
        governor.parent.mkdir(parents=True)
        governor.write_text("ondemand\n")
        device = replace(server.use(monkeypatch), target="rpi4")
        seen: list[str] = []

        def report(event: Event) -> None:
            seen.append(governor.read_text().strip())
            if len(seen) == 2:
                server.process.kill()

        found = bench(model, timing=short(3, device=device), out=None, report=report)
        (error,) = found.failed
        assert isinstance(error, DeviceError)
        assert len(found.measurements[0].processes) == 1
        assert found.path.is_file()
        assert seen[:2] == ["performance"] * 2
        wait_for(lambda: governor.read_text().strip() == "ondemand")
        wait_for(lambda: not list(server.home.glob(".cache/tinyml/tinyml-link-*")))
        record(
            *("while a model runs", "the connection is lost in a benchmark", error),
            board="a lock, which the next command replaces",
            host=KEPT,
        )
