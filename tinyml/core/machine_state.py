"""What can disturb a timing, read before, while and after it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag


class Throttle(Flag):
    """Bits 0 to 3 of a Raspberry Pi's ``get_throttled``; 16 to 19 are the same since boot."""

    UNDER_VOLTAGE = 1
    CAPPED = 2
    THROTTLED = 4
    SOFT_LIMIT = 8

    @property
    def is_hot(self) -> bool:
        """Whether it may end when the board cools down."""
        return bool(self & ~Throttle.UNDER_VOLTAGE)

    @property
    def text(self) -> str:
        """In words; empty where no bit is set."""
        return ", ".join(words for bit, words in _WORDS.items() if bit in self)


def throttle_now(firmware_bits: int | None) -> Throttle:
    """What ``get_throttled`` reports of this moment."""
    return Throttle((firmware_bits or 0) & 0xF)


_WORDS = {
    Throttle.UNDER_VOLTAGE: "under-voltage",
    Throttle.CAPPED: "frequency capped",
    Throttle.THROTTLED: "throttled",
    Throttle.SOFT_LIMIT: "soft temperature limit",
}


@dataclass(frozen=True, slots=True)
class MachineState:
    """One reading, as the runner makes it; ``None`` is unknown.

    load            the machine's one-minute load average
    run_queue_ns    how long the process's threads were ready and had no core, so far
    steal_ns        how long a hypervisor ran others on a core that it may use, on average, so far
    pressure_ns     how long any process of the machine waited for a core, so far (PSI)
    governor        of those cores; ``frequency_khz``: the highest of them
    temperature_mc  of the hottest sensor, in thousandths of a degree Celsius
    is_throttled    now; ``throttled`` changes whenever it happens
    firmware_bits   what a Raspberry Pi calls ``get_throttled``: see `Throttle`
    affinity        the cores that the process may use; ``cores_online``: all, as ``0-3``
    boot_id         another one after each start of the machine
    wall_ns         of the clock that can be set; ``boot_ns``: of one that only counts since boot
    """

    load: float | None = None
    run_queue_ns: int | None = None
    steal_ns: int | None = None
    pressure_ns: int | None = None
    governor: str | None = None
    frequency_khz: int | None = None
    temperature_mc: int | None = None
    is_throttled: bool | None = None
    throttled: int | None = None
    firmware_bits: int | None = None
    affinity: tuple[int, ...] | None = None
    cores_online: str | None = None
    boot_id: str | None = None
    wall_ns: int | None = None
    boot_ns: int | None = None

    @property
    def throttle_now(self) -> Throttle:
        """What the firmware of a Raspberry Pi reports of this moment."""
        return throttle_now(self.firmware_bits)

    @property
    def throttle_since_boot(self) -> Throttle:
        """What it reports of any moment since the board was started."""
        return Throttle((self.firmware_bits or 0) >> 16 & 0xF)


UNKNOWN = MachineState()


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What was read between timed calls; ``None`` is unknown.

    readings       how often; ``lowest_khz``, ``hottest_mc``: of all of them, units as in
                   `MachineState`
    firmware_bits  every bit that was set in one of them, where the system shows them in a file
    """

    readings: int = 0
    lowest_khz: int | None = None
    hottest_mc: int | None = None
    firmware_bits: int | None = None


UNREAD = Meanwhile()
