"""An Android phone as ``adb shell`` shows it: what it is, its state, and settings for timing.

Every command runs as the shell user, without root. What a phone does not tell is ``None``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tinyml.core.averages import PhoneState, thermal_text
from tinyml.core.errors import DeviceError, TinymlError
from tinyml.device.link import CommandResult, Link

TIMEOUT_S = 30.0
# Android 11.
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

    @property
    def text(self) -> str:
        """``0 1 2 3 at 1.80 GHz``."""
        clock = "an unknown clock" if self.max_khz is None else f"{self.max_khz / 1e6:.2f} GHz"
        return f"{' '.join(map(str, self.cores))} at {clock}"


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

    @property
    def condition(self) -> dict[str, str]:
        """Its cores and its state in words, for a person."""
        state = self.state
        saver = {None: "unknown", True: "on", False: "off"}[state.low_power]
        return {
            "cores": ", ".join(own.text for own in self.groups) or "unknown",
            "thermal": f"status {thermal_text(state.thermal_status)}",
            "battery": f"{state.battery_text}, battery saver {saver}",
        }


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


@dataclass(slots=True)
class PhoneSettings:
    """What was set; ``left``: commands that restore what could not be, as the phone was lost."""

    done: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def error(self) -> DeviceError:
        """For ``left``."""
        return DeviceError(
            "settings of the phone were not restored", hint=f"run: {'; '.join(self.left)}"
        )


@contextmanager
def settings_for_timing(link: Link, facts: PhoneFacts) -> Iterator[PhoneSettings]:
    """Fixed performance mode and a screen that stays on, until the block ends.

    A phone that refuses one is timed without. Both are restored whatever happens, also after
    Ctrl-C. An error of the block gets what is ``left`` as its details.
    """
    restore: list[list[str]] = []
    settings = PhoneSettings()
    try:
        for name, command, back in _settings(link, facts):
            restore.insert(0, back)  # Before it is set: an interruption may come between.
            if _run(link, *command).code == 0:
                settings.done.append(name)
        yield settings
    finally:
        raised = sys.exc_info()[1]
        settings.left += _restore(link, restore)
        if settings.left and isinstance(raised, TinymlError):
            raised.details.append(f"{settings.error.message}: {settings.error.hint}")
        elif settings.left and raised is not None:
            raise settings.error from raised


def _settings(link: Link, facts: PhoneFacts) -> Iterator[tuple[str, list[str], list[str]]]:
    """(name, command that sets it, command that sets it back)."""
    if (facts.sdk or 0) >= FIXED_PERFORMANCE_SDK:
        fixed = ["cmd", "power", "set-fixed-performance-mode-enabled"]
        yield "fixed performance mode", [*fixed, "true"], [*fixed, "false"]
    setting = ["global", "stay_on_while_plugged_in"]
    before = _run(link, "settings", "get", *setting).stdout.strip()
    back = ["put", *setting, before] if _number(before) is not None else ["delete", *setting]
    yield "screen stays on", ["svc", "power", "stayon", "usb"], ["settings", *back]


def _restore(link: Link, commands: Sequence[list[str]]) -> list[str]:
    """What a user has to run, where the phone does not answer any more."""
    left = []
    for command in commands:
        try:
            _run(link, *command)
        except DeviceError:
            left.append(f"adb shell {' '.join(command)}")
    return left


def _run(link: Link, *command: str) -> CommandResult:
    """What ``command`` leaves there; code 127 where the phone has no such program."""
    return link.run(["sh", "-c", '"$@"', "sh", *command], timeout_s=TIMEOUT_S)


def check_copied(link: Link, path: str, sha256: str) -> None:
    """Raise `DeviceError` unless the file at ``path`` there has that hash."""
    done = _run(link, "sha256sum", path)
    if done.code != 0:
        raise DeviceError(f"{link.name} cannot hash what it was sent: {done.last_line}")
    if done.stdout.split()[:1] != [sha256]:
        name = path.rpartition("/")[2]
        raise DeviceError(f"{name} is another file on {link.name} than here", hint="run it again")
