"""Several boards at once: one that fails stops no other, and each error is named."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Done
from short_timing import short
from test_compare_latency import measured

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, MachineError, TinymlError, ValidationError
from tinyml.core.events import Event, Message, Progress, Report, silent
from tinyml.core.interruption import pause
from tinyml.pipeline import bench_devices as module
from tinyml.pipeline.bench import Benchmark
from tinyml.pipeline.bench_devices import DeviceBenchmark, bench_devices, check
from tinyml.pipeline.devices import at_once
from tinyml.pipeline.devices.inventory import save_device
from tinyml.pipeline.timing import Timing

Cli = Callable[..., Done]
NAMES = ("pi4", "pi5", "zero")
DEVICES = tuple(Device(name=name, link="ssh", address=name, target="rpi4") for name in NAMES)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"model")
    return path


class Boards:
    """Stands for `bench`: what each board does, by its name."""

    def __init__(self, **failures: BaseException) -> None:
        self.failures = failures

    def __call__(self, what: Path, *, timing: Timing, report: Report, **_: Any) -> Benchmark:
        name = timing.device.name
        report(Progress("timing", 1, 2, "m.onnx"))
        report(Message("governor"))
        if name in self.failures:
            raise self.failures[name]
        return Benchmark((measured(what, 100),), what.with_name(f"{name}.json"), ())


def run(
    model: Path, monkeypatch: pytest.MonkeyPatch, report: Report = silent, **failures: BaseException
) -> list[DeviceBenchmark]:
    monkeypatch.setattr(module, "bench", Boards(**failures))
    return bench_devices(model, DEVICES, timing=short(), out=None, report=report)


def test_a_board_that_fails_does_not_stop_the_others(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    refused = DeviceError("the connection was refused")
    found = run(model, monkeypatch, events.append, pi5=refused)
    assert [own.device.name for own in found] == list(NAMES)
    assert [own.benchmark is not None for own in found] == [True, False, True]
    assert found[1].errors == (refused,)
    bars = [event for event in events if isinstance(event, Progress)]
    rows = [(bar.title, bar.done, bar.note) for bar in bars]
    assert sorted(rows) == [(n, *row) for n in NAMES for row in ((1, ""), (1, "m.onnx"))]
    lines = {event.text for event in events if isinstance(event, Message)}
    assert lines == {
        *(f"{name}: governor" for name in NAMES),
        *("done: pi4.json", "pi5: failed", "done: zero.json"),
    }


def test_the_worst_error_decides_and_names_every_other(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(
        model,
        monkeypatch,
        pi4=MachineError("no space left"),
        pi5=ValidationError("m.onnx on pi5: other outputs"),
        zero=DeviceError("it does not answer"),
    )
    with pytest.raises(ValidationError) as caught:
        check(found)
    assert caught.value.message == "m.onnx on pi5: other outputs"
    assert caught.value.details == [
        "error: zero: it does not answer",
        "error: pi4: no space left",
    ]
    check(run(model, monkeypatch))


def test_a_bug_keeps_its_traceback(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        run(model, monkeypatch, zero=ZeroDivisionError())


def test_an_interrupt_ends_all_of_them(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, ended = threading.Barrier(len(DEVICES)), []

    def bench(what: Path, *, timing: Timing, **_: Any) -> Benchmark:
        waiting.wait()
        try:
            pause(60)
        finally:
            pause(0.01)  # what is set back is not interrupted
            ended.append(timing.device.name)
        raise TinymlError("it was not interrupted")

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "bench", bench)
    monkeypatch.setattr(at_once, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench_devices(model, DEVICES, timing=short(), out=None, report=silent)
    assert sorted(ended) == list(NAMES)


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for device in DEVICES:
        save_device(device)


@pytest.mark.usefixtures("inventory")
def test_each_board_is_shown_and_the_exit_code_is_that_of_the_worst(
    model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "bench", Boards(zero=DeviceError("it does not answer")))
    done = cli("bench", model, "--device", ",".join(NAMES))
    assert done.returncode == 4
    titles = [line for line in done.stdout.splitlines() if line.endswith(":")]
    assert titles == ["pi4:", "pi5:"]
    assert done.stderr.splitlines()[-1] == "error: zero: it does not answer"
    monkeypatch.setattr(module, "bench", Boards(zero=DeviceError("it does not answer")))
    as_json = json.loads(cli("bench", model, "--device", ",".join(NAMES), "--json").stdout)
    assert set(as_json["devices"]) == set(NAMES)
    assert as_json["devices"]["zero"] == {"error": "it does not answer"}


@pytest.mark.usefixtures("inventory")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--device", "pi4,pi5", "--out", "x.json"), "--out is for one device, and these are"),
        (("--device", "pi4,pi5", "--against", "x.json"), "--against is for one device"),
        (("--device", "pi4", "--target", "rpi5"), "a device has its own target"),
        (("--device", "pi6"), "unknown device 'pi6'"),
        (("--tag", "lab"), "unknown tag 'lab'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: tuple[str, ...], words: str, model: Path, cli: Cli
) -> None:
    done = cli("bench", model, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
