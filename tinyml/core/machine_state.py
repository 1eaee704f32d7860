"""What can disturb a timing, read twice: how its clocks, temperature and load changed between."""

from __future__ import annotations

from dataclasses import dataclass


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


UNKNOWN = MachineState()
