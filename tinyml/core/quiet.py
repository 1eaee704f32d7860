"""Is a machine quiet enough for times that can be published? What is unknown is not quiet."""

from __future__ import annotations

from dataclasses import dataclass

from tinyml.core.averages import PhoneState, thermal_text
from tinyml.core.errors import DeviceError
from tinyml.core.machine_state import MachineState

# The governor that keeps the clock at its highest.
STEADY = "performance"
SET_GOVERNOR = f"sudo cpupower frequency-set --governor {STEADY}"
# One-minute load average.
MOST_LOAD = 0.5
# Boards throttle from 80 degrees Celsius on, and a run warms them by some ten.
HOTTEST_MC = 65_000
# Percent: below it, phones save power by themselves.
LEAST_BATTERY = 20


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What is not quiet, and what ends it; ``remedy`` is a command or what to do."""

    what: str
    remedy: str = ""


def disturbances(state: MachineState) -> list[Disturbance]:
    """Each thing in ``state`` that may disturb a timing, or is unknown."""
    return [own for own in (_governor(state), _load(state), *_heat(state)) if own is not None]


def check_quiet(name: str, state: MachineState | PhoneState) -> None:
    """Raise `DeviceError` naming everything that is not quiet on the machine ``name``."""
    if found := disturbances(state) if isinstance(state, MachineState) else of_phone(state):
        raise DeviceError(
            f"{name} is not quiet: {', '.join(own.what for own in found)}",
            hint="; ".join(own.remedy for own in found if own.remedy),
        )


def of_phone(state: PhoneState) -> list[Disturbance]:
    """Each thing in the ``state`` of a phone that may disturb a timing, or is unknown."""
    found = []
    if state.thermal_status is None:
        found.append(Disturbance("its thermal status is unknown"))
    elif state.thermal_status:
        text = thermal_text(state.thermal_status)
        found.append(Disturbance(f"its thermal status is {text}", "let it cool down"))
    if state.low_power is None:
        off = "adb shell settings put global low_power 0"
        found.append(Disturbance("whether its battery saver is on is unknown", off))
    elif state.low_power:
        found.append(Disturbance("its battery saver is on", "switch the battery saver off"))
    if state.battery_percent is None:
        found.append(Disturbance("its battery is unknown"))
    elif state.battery_percent < LEAST_BATTERY:
        found.append(Disturbance(f"its battery has {state.battery_percent}%", "charge it"))
    return found


def _governor(state: MachineState) -> Disturbance | None:
    if state.governor == STEADY:
        return None
    if state.governor is None:
        return Disturbance("its governor is unknown")
    return Disturbance(f"its governor is {state.governor}", SET_GOVERNOR)


def _load(state: MachineState) -> Disturbance | None:
    if state.load is None:
        return Disturbance("its load is unknown")
    if state.load <= MOST_LOAD:
        return None
    return Disturbance(
        f"its load average is {state.load:.2f}, at most {MOST_LOAD:g} is quiet",
        "end other programs on the board and wait a minute",
    )


def _heat(state: MachineState) -> list[Disturbance]:
    hottest, now = HOTTEST_MC / 1000, state.temperature_mc
    found: list[Disturbance] = []
    if state.is_throttled is None:
        found.append(Disturbance("whether it is throttled is unknown"))
    elif state.is_throttled:
        reason = f" ({state.throttle_now.text})" if state.throttle_now else ""
        found.append(Disturbance(f"it is throttled{reason}"))
    if now is None:
        found.append(Disturbance("its temperature is unknown"))
    elif now > HOTTEST_MC:
        found.append(
            Disturbance(f"its temperature is {now / 1000:.0f} °C, at most {hottest:.0f} °C is cool")
        )
    return found
