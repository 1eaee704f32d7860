from __future__ import annotations

from dataclasses import replace

import pytest

from tinyml.core.averages import PhoneState
from tinyml.core.errors import DeviceError
from tinyml.core.machine_state import MachineState
from tinyml.core.quiet import check_quiet, disturbances, of_phone

QUIET = MachineState(
    load=0.2, governor="performance", temperature_mc=48_000, is_throttled=False, firmware_bits=0
)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (replace(QUIET, governor="ondemand"), "its governor is ondemand"),
        (replace(QUIET, load=1.3), "its load average is 1.30, at most 0.5 is quiet"),
        (replace(QUIET, temperature_mc=71_000), "its temperature is 71 °C, at most 65 °C is cool"),
        (
            replace(QUIET, is_throttled=True, firmware_bits=0x50005),
            "it is throttled (under-voltage, throttled)",
        ),
        (replace(QUIET, is_throttled=True), "it is throttled"),
    ],
)
def test_each_disturbance_is_named(state: MachineState, words: str) -> None:
    (found,) = disturbances(state)
    assert found.what == words


def test_a_quiet_machine_passes_though_it_was_throttled_before() -> None:
    for state in (QUIET, replace(QUIET, firmware_bits=0x50000)):
        check_quiet("mypi", state)
        assert disturbances(state) == []


def test_what_is_unknown_is_not_quiet() -> None:
    with pytest.raises(DeviceError, match="mypi is not quiet: its governor is unknown, ") as caught:
        check_quiet("mypi", MachineState())
    assert caught.value.message.count("unknown") == 4
    assert caught.value.hint == ""


def test_what_ends_it_is_a_command() -> None:
    with pytest.raises(DeviceError) as caught:
        check_quiet("mypi", replace(QUIET, governor="ondemand", load=2.0))
    assert caught.value.hint == (
        "sudo cpupower frequency-set --governor performance; "
        "end other programs on the board and wait a minute"
    )


def test_a_phone_is_quiet_where_it_is_cool_and_saves_no_power() -> None:
    cool = PhoneState(0, 81, 28_000, False, True)
    assert of_phone(cool) == []
    assert len(of_phone(PhoneState())) == 3
    with pytest.raises(DeviceError, match=r"thermal status is 2 \(moderate\)") as got:
        check_quiet("pixel", PhoneState(2, 10, 40_000, True, False))
    assert "its battery saver is on, its battery has 10%" in got.value.message
    assert "charge it" in got.value.hint
