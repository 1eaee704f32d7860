from __future__ import annotations

import pytest
from device_faults import record

from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import DeviceError
from tinyml.device.how_it_runs import how_it_runs, require_runner

PHONE = Device(name="pixel", link="adb", address="0123", target="android")


def test_android_runs_a_program_and_boards_run_python() -> None:
    assert how_it_runs(PHONE) == "benchmark_model"
    for link in ("ssh", "emulated"):
        assert how_it_runs(Device(name="pi", link=link, address="pi")) == "runner"
    require_runner(THIS_MACHINE, "verify")


@pytest.mark.parametrize("verb", ["verify", "eval", "predict", "listen"])
def test_what_android_does_not_support_yet_names_the_command_and_the_phone(verb: str) -> None:
    with pytest.raises(DeviceError, match=f"tinyml {verb} is not supported on Android yet") as got:
        require_runner(PHONE, verb)
    assert got.value.exit_code == 4
    assert "pixel has no Python" in got.value.message
    assert "tinyml bench BUNDLE --device pixel --benchmark-model PATH" in got.value.hint


def test_a_phone_refuses_what_needs_python() -> None:
    with pytest.raises(DeviceError) as got:
        require_runner(PHONE, "predict")
    record("preparing the board", "no Python (Android)", got.value, board="nothing", host="nothing")
