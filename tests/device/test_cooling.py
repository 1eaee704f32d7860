"""A board that was throttled cools down before it is timed again; a warm one does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from test_measure import Recorder, line

from tinyml.core.errors import DeviceError
from tinyml.core.files import sha256
from tinyml.core.machine_state import MachineState
from tinyml.core.measurement import Process
from tinyml.device import cooling as module
from tinyml.device.cooling import LONGEST_S, POLL_S, Cooling
from tinyml.device.link import CommandResult
from tinyml.device.measure import Job, measure

COOL = MachineState(temperature_mc=55_000, is_throttled=False, throttled=0, firmware_bits=0)
HOT = MachineState(temperature_mc=80_000, is_throttled=True, throttled=4, firmware_bits=0x40004)
WEAK = replace(COOL, is_throttled=True, throttled=1, firmware_bits=0x10001)
NO_FIRMWARE = MachineState(is_throttled=True)


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited, of which none passes."""
    found: list[float] = []
    monkeypatch.setattr(module, "pause", found.append)
    return found


def process(before: MachineState, after: MachineState) -> Process:
    return Process((1, 2), 1, 1, 1, None, before=before, after=after)


def shown(found: Process, *states: MachineState, start: MachineState = COOL) -> list[str]:
    """The lines that are shown while the board passes through ``states``, and stays in the last."""
    lines: list[str] = []
    left = list(states)
    read = lambda: left.pop(0) if len(left) > 1 else left[0]  # noqa: E731
    Cooling(read, lines.append, start).after(found)
    return lines


def test_waits_until_it_is_cool_and_no_longer_throttled() -> None:
    warm = replace(HOT, temperature_mc=71_000)
    still = replace(HOT, temperature_mc=64_000)
    assert shown(process(COOL, HOT), warm, still, replace(COOL, temperature_mc=60_000)) == [
        "cooling down: 71 °C, waits for 65 °C",
        "cooling down: 64 °C, still throttled",
    ]


def test_where_the_run_began_is_cool_enough() -> None:
    start = replace(COOL, temperature_mc=70_000)
    assert shown(process(start, HOT), replace(COOL, temperature_mc=74_000), start=start) == []
    hot = replace(HOT, temperature_mc=79_000)
    assert shown(process(hot, hot), replace(COOL, temperature_mc=70_000), COOL, start=hot) == [
        "cooling down: 70 °C, waits for 64 °C"
    ]


def test_the_waits_of_a_run_have_a_limit(waited: list[float]) -> None:
    cooling = Cooling(lambda: HOT, lambda _: None)
    for _ in range(3):
        cooling.after(process(COOL, HOT))
    assert sum(waited) == LONGEST_S
    assert set(waited) == {POLL_S}


def test_what_the_firmware_does_not_tell_is_unknown() -> None:
    assert shown(process(MachineState(), NO_FIRMWARE), NO_FIRMWARE, MachineState()) == [
        "cooling down: throttled, temperature unknown"
    ]
    assert shown(process(MachineState(), MachineState()), NO_FIRMWARE) == []


def test_an_emulated_board_waits_only_for_its_firmware(waited: list[float]) -> None:
    emulated = Cooling(lambda: HOT, lambda _: None, left_s=POLL_S, firmware_alone=True)
    emulated.after(process(MachineState(), NO_FIRMWARE))
    assert waited == []
    emulated.after(process(COOL, HOT))
    assert waited == [POLL_S]


@pytest.mark.parametrize("after", [replace(COOL, temperature_mc=75_000), WEAK])
def test_neither_warmth_nor_a_weak_power_supply_is_waited_for(after: MachineState) -> None:
    assert shown(process(COOL, after), HOT) == []


class Throttling(Recorder):
    """A board whose second process is throttled, and which is cool when it is asked."""

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        super().run(command, timeout_s=timeout_s)
        if command[-1] == "conditions":
            return self.cooled()
        hot = sum("--runs" in own for own in self.commands) == 2
        bits = {"firmware_bits": 0x40000 if hot else 0, "throttled": 4 if hot else 0}
        states = {"before": {"firmware_bits": 0, "throttled": 0}, "after": bits}
        return CommandResult(0, json.dumps(json.loads(self.result.stdout) | states), "")

    def cooled(self) -> CommandResult:
        return CommandResult(0, json.dumps({"state": {}, "machine": {}}), "")


class Lost(Throttling):
    """A board whose link is lost meanwhile."""

    def cooled(self) -> CommandResult:
        raise DeviceError("connection closed")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"model")
    return Job(path, "onnxruntime", {})


def test_a_throttled_process_is_repeated_after_the_wait(job: Job) -> None:
    link = Throttling(CommandResult(0, line(model_sha256=sha256(job.path)), ""))
    (found,) = measure(link, [job], 3)
    assert found.measurement is not None
    assert len(found.measurement.processes) == 3
    (left,) = found.measurement.discarded
    assert left.reason == "the firmware reports throttled"
    asked = [place for place, own in enumerate(link.commands) if own[-1] == "conditions"]
    assert asked == [2]


def test_a_link_that_is_lost_meanwhile_loses_no_process(job: Job) -> None:
    (found,) = measure(Lost(CommandResult(0, line(model_sha256=sha256(job.path)), "")), [job], 3)
    assert str(found.failure) == "connection closed"
    assert found.measurement is not None
    assert len(found.measurement.all_processes) == 2
