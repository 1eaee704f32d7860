"""Watts of a board, by its own meter or by a command of the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyml.core.errors import DeviceError
from tinyml.core.power import PMIC, Power
from tinyml.core.typed_json import from_json
from tinyml.runtimes.runner import power
from tinyml.runtimes.runner.errors import RunnerError
from tinyml.runtimes.runner.power import measure_power, read_watts

# Of a Raspberry Pi 5, shortened: two rails, and a voltage without its current.
ADC = """3V7_WL_SW_A current(0)=0.10000000A
 VDD_CORE_A current(7)=2.00000000A
3V7_WL_SW_V volt(8)=3.70000000V
 VDD_CORE_V volt(15)=0.75000000V
 EXT5V_V volt(24)=5.15094000V
"""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "PHASE_S", 0.2)
    monkeypatch.setattr(power, "SETTLE_S", 0.05)
    monkeypatch.setattr(power, "EVERY_S", 0.02)


def program(folder: Path, name: str, script: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"{path}"


def test_the_rails_of_a_raspberry_pi_5_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "vcgencmd", f"cat <<'END'\n{ADC}END")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert read_watts(PMIC) == pytest.approx(0.1 * 3.7 + 2 * 0.75)


@pytest.mark.usefixtures("short")
def test_a_command_is_read_while_idle_and_while_busy(tmp_path: Path) -> None:
    """The meter here shows 5 W once a call was made, and 2 W before."""
    meter = program(tmp_path, "ina219", f"[ -e {tmp_path}/busy ] && echo 5.0 || echo watts: 2.0")
    found = from_json(Power, measure_power((tmp_path / "busy").touch, meter))
    assert set(found.idle_w) == {2.0}
    assert set(found.busy_w) == {5.0}
    assert found.source == meter
    assert found.call_j == pytest.approx(5 * found.elapsed_ns / 1e9 / found.calls)
    assert found.above_idle_j == pytest.approx(found.call_j * 3 / 5)


@pytest.mark.parametrize("script", ["echo none", "exit 1", "true", "echo -1", "echo 5; exit 3"])
def test_a_meter_that_prints_no_watts_is_named(script: str, tmp_path: Path) -> None:
    meter = program(tmp_path, "meter", script)
    with pytest.raises(RunnerError, match=f"--power {meter}: it printed no watts"):
        read_watts(meter)


def test_a_meter_that_is_missing_is_named() -> None:
    with pytest.raises(RunnerError, match="no-such-meter is not a program there"):
        read_watts("no-such-meter")
    with pytest.raises(RunnerError, match="No closing quotation"):
        read_watts("'open")


def test_a_power_without_a_reading_is_refused() -> None:
    with pytest.raises(DeviceError, match="there is no reading of the power"):
        Power(PMIC, (), (1.0,), 1, 1)
