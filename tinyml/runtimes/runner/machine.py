"""What a timing depends on, and what can disturb it, from /proc and /sys; ``None`` is unknown."""

from __future__ import annotations

import glob
import os
import platform
import shutil
import subprocess
import time
from typing import Any

import numpy as np

# TINYML_CPUS names another place.
CPUS = (os.environ.get("TINYML_CPUS") or "/sys/devices/system/cpu") + "/"
PI_THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
# Bits of a Raspberry Pi's get_throttled: under-voltage, capped, throttled, soft limit, each now.
PI_NOW = 0xF
# Where the caches are unknown; and of a share of a server's cache, more takes longer than a period.
LEAST_EVICTING, MOST_EVICTING = 32 << 20, 128 << 20
# As Linux names the two forms of VNNI.
VNNI = {"avx_vnni", "avx512_vnni"}
STEAL = 8  # Its column in /proc/stat, after the name.
# Between two readings while calls are timed; and so many times as long as a reading takes, which
# of many cores may be long.
EVERY_NS, REST = 100_000_000, 20


def read_text(path: str) -> str:
    """The file's text, or an empty one: what cannot be read is unknown."""
    try:
        with open(path, errors="replace") as stream:
            return stream.read().strip("\0\n ")
    except OSError:
        return ""


def numbers(pattern: str) -> list[int]:
    """The integers in the files of ``pattern``."""
    texts = [read_text(path) for path in sorted(glob.glob(pattern))]
    return [int(text) for text in texts if text.lstrip("-").isdigit()]


def allowed() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def has_dot_products() -> bool:
    """Whether this x86 CPU has VNNI, with which onnxruntime's sums of int8 products are exact."""
    flags = (own for own in read_text("/proc/cpuinfo").splitlines() if own.startswith("flags"))
    return bool(VNNI & set(next(flags, "").split()))


def cpu_model() -> str | None:
    """What the CPU is called; of boards that do not tell, the board."""
    fields: dict[str, str] = {}
    for line in read_text("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    found = fields.get("model name") or fields.get("Model") or fields.get("Hardware")
    return found or platform.processor() or None


def machine() -> dict[str, Any]:
    """What a timing depends on and does not change while it is taken."""
    return {
        "cpu": cpu_model(),
        "board": read_text("/proc/device-tree/model") or None,
        "arch": platform.machine(),
        "cores": len(allowed()) if hasattr(os, "sched_getaffinity") else None,
        "governor": governor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def state() -> dict[str, Any]:
    """What can disturb a timing, at this moment: see `tinyml.core.machine_state.MachineState`."""
    load = read_text("/proc/loadavg").split()
    return {
        "load": float(load[0]) if load else None,
        "run_queue_ns": run_queue_ns(),
        "steal_ns": steal_ns(),
        "pressure_ns": pressure_ns(),
        "governor": governor(),
        "frequency_khz": frequency_khz(),
        "temperature_mc": temperature_mc(),
        **throttling(),
        "affinity": allowed() if hasattr(os, "sched_getaffinity") else None,
        "cores_online": read_text(CPUS + "online") or None,
        "boot_id": read_text("/proc/sys/kernel/random/boot_id") or None,
        **clocks(),
    }


def clocks() -> dict[str, int]:
    """The wall clock, which can be set, and one that only counts since the machine started."""
    counting = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return {"wall_ns": time.time_ns(), "boot_ns": time.clock_gettime_ns(counting)}


def governor() -> str | None:
    """Of the cores that the process may use; several are joined."""
    paths = [CPUS + "cpu{}/cpufreq/scaling_governor".format(cpu) for cpu in allowed()]
    return " and ".join(sorted({read_text(path) for path in paths} - {""})) or None


def frequency_khz() -> int | None:
    """The highest of the cores that the process may use: a busy one."""
    names = [CPUS + "cpu{}/cpufreq/scaling_cur_freq".format(cpu) for cpu in allowed()]
    return max((number for name in names for number in numbers(name)), default=None)


def run_queue_ns() -> int | None:
    """How long threads of this process were ready and had no core, so far."""
    texts = [read_text(path) for path in glob.glob("/proc/self/task/*/schedstat")]
    waits = [int(text.split()[1]) for text in texts if len(text.split()) == 3]
    return sum(waits) if waits else None


def steal_ns() -> int | None:
    """How long a hypervisor ran others on a core that the process may use, on average, so far."""
    names, found = {"cpu{}".format(cpu) for cpu in allowed()}, []
    for line in read_text("/proc/stat").splitlines():
        cells = line.split()
        if cells and cells[0] in names and len(cells) > STEAL:
            found.append(int(cells[STEAL]))
    return sum(found) * 10**9 // os.sysconf("SC_CLK_TCK") // len(found) if found else None


def pressure_ns() -> int | None:
    """How long any process of the machine waited for a core, so far, where PSI is present."""
    for line in read_text("/proc/pressure/cpu").splitlines():
        if line.startswith("some "):
            return int(line.rpartition("total=")[2]) * 1000
    return None


class Readings:
    """What is read between timed calls, now and then: see `tinyml.core.machine_state`.

    Only files of /sys: the firmware of a Raspberry Pi answers programs, which takes milliseconds.
    """

    def __init__(self) -> None:
        self.readings, self.due = 0, time.perf_counter_ns() + EVERY_NS
        self.lowest_khz: int | None = None
        self.hottest_mc: int | None = None
        self.firmware_bits: int | None = None

    def look(self, now: int) -> None:
        """Read, if it is time."""
        if now < self.due:
            return
        khz, mc, bits = frequency_khz(), sensor_mc(), hexadecimal(read_text(PI_THROTTLED))
        if khz is not None:
            self.lowest_khz = min(khz, self.lowest_khz or khz)
        if mc is not None:
            self.hottest_mc = max(mc, self.hottest_mc or mc)
        if bits is not None:
            self.firmware_bits = self.firmware_bits or 0
            self.firmware_bits |= bits
        end = time.perf_counter_ns()
        self.readings, self.due = self.readings + 1, end + max(EVERY_NS, REST * (end - now))

    def found(self) -> dict[str, Any]:
        """As in the line."""
        return {
            "readings": self.readings,
            "lowest_khz": self.lowest_khz,
            "hottest_mc": self.hottest_mc,
            "firmware_bits": self.firmware_bits,
        }


def sensor_mc() -> int | None:
    """The hottest sensor."""
    return max(numbers("/sys/class/thermal/thermal_zone*/temp"), default=None)


def temperature_mc() -> int | None:
    """What the firmware of a Raspberry Pi measures, else the hottest sensor."""
    text = _vcgencmd("measure_temp").partition("=")[2].partition("'")[0]
    try:
        return round(1000 * float(text))
    except ValueError:
        return sensor_mc()


def throttling() -> dict[str, Any]:
    """Whether the CPU is throttled now, and how often it was, so far (or bits since boot)."""
    counts = numbers(CPUS + "cpu*/thermal_throttle/core_throttle_count")
    known = hexadecimal(read_text(PI_THROTTLED) or _vcgencmd("get_throttled").rpartition("=")[2])
    if known is None:
        return {"is_throttled": None, "throttled": sum(counts) if counts else None}
    now = {"is_throttled": bool(known & PI_NOW), "throttled": known >> 16}
    return {**now, "firmware_bits": known}


def hexadecimal(text: str) -> int | None:
    """The number in ``text``, if it is one."""
    try:
        return int(text, 16)
    except ValueError:
        return None


def _vcgencmd(name: str) -> str:
    """What a Raspberry Pi's firmware answers; nothing elsewhere."""
    program = shutil.which("vcgencmd")
    if program is None:
        return ""
    try:
        done = subprocess.run([program, name], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def evicting_bytes() -> int:
    """Memory to touch so that nothing else stays in the caches: twice the largest."""
    texts = [read_text(path) for path in glob.glob(CPUS + "cpu0/cache/index*/size")]
    sizes = [int(text[:-1]) << 10 for text in texts if text.endswith("K") and text[:-1].isdigit()]
    return min(2 * max(sizes, default=LEAST_EVICTING // 2), MOST_EVICTING)


def peak_rss_kb() -> int | None:
    """Largest resident set of this program alone, or None where /proc does not say.

    Not ``getrusage``: its value survives exec, so a large parent would be counted.
    """
    for line in read_text("/proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return None
