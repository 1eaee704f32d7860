"""An Android phone as ``adb shell`` shows it: what it is, its state, and settings for timing.

Every command runs as the shell user, without root. What a phone does not tell is ``None``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tinyml.core.averages import PhoneState
from tinyml.core.errors import DeviceError, TinymlError
from tinyml.device.link import Link

TIMEOUT_S = 30.0
# Below it, `dumpsys thermalservice` does not exist (API 29), nor the fixed performance mode (30).
FIXED_PERFORMANCE_SDK = 30
_MARK = "@@ "
_STATE = {
    "thermal": "dumpsys thermalservice",
    "battery": "dumpsys battery",
    "low_power": "settings get global low_power",
}
_FACTS = {
    "abi": "getprop ro.product.cpu.abi",
    "model": "getprop ro.product.model",
    "soc": "getprop ro.soc.model",
    "sdk": "getprop ro.build.version.sdk",
    "release": "getprop ro.build.version.release",
    "cores": "for c in /sys/devices/system/cpu/cpu[0-9]*; do"
    " echo ${c##*/cpu} $(cat $c/cpufreq/cpuinfo_max_freq); done",
    "memory": "cat /proc/meminfo",
    "disk": "df -k .",
    "page": "getconf PAGE_SIZE",
    "boot": "cat /proc/sys/kernel/random/boot_id",
}


@dataclass(frozen=True, slots=True)
class CoreGroup:
    """Cores of one kind: ``max_khz`` is their highest clock; ``None``: unknown."""

    max_khz: int | None
    cores: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PhoneFacts:
    """What a phone is; ``None`` is unknown.

    abi      as ``arm64-v8a``; ``soc``: its chip's name (Android 12 and later)
    sdk      Android's API level; ``release``: its version as users know it
    groups   fastest cores first
    boot     changes when the phone starts again
    """

    abi: str | None
    model: str | None
    soc: str | None
    sdk: int | None
    release: str | None
    groups: tuple[CoreGroup, ...]
    memory_kb: int | None
    free_memory_kb: int | None
    free_disk_kb: int | None
    page_bytes: int | None
    boot: str | None
    state: PhoneState

    @property
    def cores(self) -> int | None:
        """How many."""
        return sum(len(own.cores) for own in self.groups) or None

    @property
    def system(self) -> str | None:
        """``Android 14 (API 34)``."""
        if self.release is None:
            return None
        return f"Android {self.release}" + (f" (API {self.sdk})" if self.sdk else "")


def phone_facts(link: Link) -> PhoneFacts:
    """What the phone of ``link`` is, in one command; `DeviceError` where that cannot be asked."""
    found = _read(link, {**_FACTS, **_STATE})
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB", found["memory"], re.MULTILINE))
    disk = re.search(r"^\S+\s+\d+\s+\d+\s+(\d+)\s", found["disk"], re.MULTILINE)
    return PhoneFacts(
        abi=found["abi"] or None,
        model=found["model"] or None,
        soc=found["soc"] or None,
        sdk=_number(found["sdk"]),
        release=found["release"] or None,
        groups=_groups(found["cores"]),
        memory_kb=_number(memory.get("MemTotal", "")),
        free_memory_kb=_number(memory.get("MemAvailable", "")),
        free_disk_kb=_number(disk[1]) if disk else None,
        page_bytes=_number(found["page"]),
        boot=found["boot"] or None,
        state=_state(found),
    )


def phone_state(link: Link) -> PhoneState:
    """What can disturb a timing there now."""
    return _state(_read(link, _STATE))


def _read(link: Link, commands: Mapping[str, str]) -> dict[str, str]:
    """What each command prints; empty for one that fails or that the phone lacks."""
    script = "\n".join(f"echo '{_MARK}{name}'\n{own} 2>/dev/null" for name, own in commands.items())
    done = link.run(["sh", "-c", script], timeout_s=TIMEOUT_S)
    found = dict.fromkeys(commands, "")
    for section in ("\n" + done.stdout.replace("\r\n", "\n")).split(f"\n{_MARK}")[1:]:
        name, _, text = section.partition("\n")
        found[name] = text.strip()
    if not done.stdout.strip():
        raise DeviceError(f"{link.name} runs no shell: it ended {done.code}: {done.last_line}")
    return found


def _state(found: Mapping[str, str]) -> PhoneState:
    battery = dict(re.findall(r"^\s*([\w ]+): (\S+)$", found["battery"], re.MULTILINE))
    level, scale = _number(battery.get("level", "")), _number(battery.get("scale", ""))
    tenths = _number(battery.get("temperature", ""))
    powered = [value == "true" for name, value in battery.items() if name.endswith("powered")]
    thermal = re.search(r"Thermal Status: (\d+)", found["thermal"])
    return PhoneState(
        thermal_status=int(thermal[1]) if thermal else None,
        battery_percent=None if level is None else round(100 * level / (scale or 100)),
        battery_mc=None if tenths is None else 100 * tenths,
        low_power={"0": False, "1": True}.get(found["low_power"]),
        is_charging=any(powered) if powered else None,
    )


def _groups(text: str) -> tuple[CoreGroup, ...]:
    """``0 1803000`` and so on, a core a line -> cores by their highest clock, fastest first."""
    by_clock: dict[int | None, list[int]] = {}
    for core, clock in re.findall(r"^(\d+) ?(\d*)$", text, re.MULTILINE):
        by_clock.setdefault(_number(clock), []).append(int(core))
    groups = [CoreGroup(clock, tuple(sorted(cores))) for clock, cores in by_clock.items()]
    return tuple(sorted(groups, key=lambda own: -(own.max_khz or 0)))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else None


@contextmanager
def settings_for_timing(link: Link, facts: PhoneFacts) -> Iterator[tuple[str, ...]]:
    """Fixed performance mode and a screen that stays on, until the block ends; yields what is set.

    A phone that refuses one is timed without. Both are restored whatever happens; where the phone
    is lost before, the error names the commands that restore them.
    """
    restore: list[list[str]] = []
    done: list[str] = []
    try:
        for name, command, back in _settings(link, facts):
            restore.insert(0, back)  # Before it is set: an interruption may come between.
            if link.run(command, timeout_s=TIMEOUT_S).code == 0:
                done.append(name)
        yield tuple(done)
    finally:
        _restore(link, restore)


def _settings(link: Link, facts: PhoneFacts) -> Iterator[tuple[str, list[str], list[str]]]:
    """(name, command that sets it, command that sets it back)."""
    if (facts.sdk or 0) >= FIXED_PERFORMANCE_SDK:
        fixed = ["cmd", "power", "set-fixed-performance-mode-enabled"]
        yield "fixed performance mode", [*fixed, "true"], [*fixed, "false"]
    setting = ["global", "stay_on_while_plugged_in"]
    before = link.run(["settings", "get", *setting], timeout_s=TIMEOUT_S).stdout.strip()
    back = ["put", *setting, before] if _number(before) is not None else ["delete", *setting]
    yield "screen stays on", ["svc", "power", "stayon", "usb"], ["settings", *back]


def _restore(link: Link, commands: Sequence[list[str]]) -> None:
    raised = sys.exc_info()[1]
    left = []
    for command in commands:
        try:
            link.run(command, timeout_s=TIMEOUT_S)
        except DeviceError:
            left.append(f"adb shell {' '.join(command)}")
    if not left:
        return
    if isinstance(raised, TinymlError):
        raised.details += [f"to restore the phone's settings: {own}" for own in left]
        return
    raise DeviceError(
        f"{link.name}: settings of the phone were not restored", hint="; ".join(left)
    ) from raised


def check_copied(link: Link, path: str, sha256: str) -> None:
    """Raise `DeviceError` unless the file at ``path`` there has that hash."""
    done = link.run(["sha256sum", path], timeout_s=TIMEOUT_S)
    if done.code != 0:
        raise DeviceError(f"{link.name} cannot hash what it was sent: {done.last_line}")
    if done.stdout.split()[:1] != [sha256]:
        name = path.rpartition("/")[2]
        raise DeviceError(f"{name} is another file on {link.name} than here", hint="run it again")
