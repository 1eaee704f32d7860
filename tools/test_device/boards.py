"""Emulated boards that are switched on and reached over ssh, and a phone that adb reaches."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from boards import Host, make_key, phone_server, served, write_config
from emulated_board import debian, parts
from emulated_board.phone import write_programs
from emulated_board.processor import cpu_info
from emulated_board.software import of_system
from emulated_board.switched_on import SwitchedOn, switched_on

from test_device.workplace import Workplace
from tinyml.core.files import write_text
from tinyml.core.target import Target, find_target

SYSTEM = "bookworm"
PI = (*debian.PACKAGES, *debian.SHELL, "python3-venv")
PHONE_CPU = "cortex-a76"
TMP = "data/local/tmp"
RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\n'
# It has no runtimes before `tinyml device check --setup`.
FRESH = "rpi5"
# A Raspberry Pi's firmware: it reports the lines of ``next``, one a call, then ``throttled``.
VCGENCMD = """#!/bin/sh
cd /opt/firmware
case $1 in
get_throttled)
  if [ -s next ]; then head -n 1 next; sed -i 1d next; else cat throttled; fi |
    sed s/^/throttled=/ ;;
measure_temp) echo "temp=$(cat temperature)'C" ;;
*) echo "error=1 error_msg=\\"Command not registered\\"" ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Board:
    """``name`` is a host of the ssh configuration, and a target's name."""

    name: str
    target: Target
    machine: SwitchedOn
    server: subprocess.Popen[str]

    @property
    def title(self) -> str:
        """For the summary."""
        return f"{self.target.board}, {SYSTEM}, {self.target.cpu}"

    def throttle(self, *bits: str) -> None:
        """What ``vcgencmd get_throttled`` shows the next times that it is asked; then the last."""
        *first, last = bits
        write_text(self.machine.root / "opt/firmware/next", "\n".join([*first, ""]))
        write_text(self.machine.root / "opt/firmware/throttled", f"{last}\n")


@dataclass(frozen=True, slots=True)
class Phone:
    """``address`` is what ``adb connect`` takes; ``state`` see `emulated_board.phone`."""

    name: str
    address: str
    machine: SwitchedOn
    state: Path


@contextmanager
def boards(place: Workplace, targets: Sequence[str], folder: Path) -> Iterator[list[Board]]:
    """Boards of ``targets``, which ``ssh NAME`` of ``place`` reaches until the block ends."""
    hosts: list[Host] = []
    make_key(folder / "id")
    with ExitStack() as stack:
        found = []
        for name in targets:
            own = folder / name
            machine = stack.enter_context(_pi(name, own))
            make_key(own / "host")
            server, port = stack.enter_context(
                served(
                    "ssh_server",
                    machine.home,
                    own / "host",
                    folder / "id.pub",
                    *machine.runner,
                )
            )
            # The first board has the name that the tutorial uses.
            names = name if hosts else f"{name} raspberrypi.local"
            hosts.append(Host(names, port, "pi", own / "host.pub"))
            found.append(Board(name, find_target(name), machine, server))
        write_config(folder, hosts)
        place.environment["PATH"] = f"{folder / 'bin'}:{place.environment['PATH']}"
        yield found


@contextmanager
def _pi(name: str, folder: Path) -> Iterator[SwitchedOn]:
    target = find_target(name)
    software = of_system(SYSTEM, target.systems[SYSTEM])
    root = folder / "root"
    for path, text in {
        "opt/bin/vcgencmd": VCGENCMD,
        "opt/firmware/throttled": "0x0\n",
        "opt/firmware/temperature": "48.3\n",
        "etc/os-release": RELEASE,
        **_cores(dict.fromkeys(range(4), 1_500_000)),
    }.items():
        write_text(root / path, text)
    (root / "opt/bin/vcgencmd").chmod(0o755)
    info = cpu_info(target.cpu, model=f"{target.board} Rev 1.0")
    files = parts.packages(SYSTEM, PI)
    site = None if name == FRESH else parts.site_packages(software)
    with switched_on(root, files, target.cpu, info, site=site) as machine:
        yield machine


def _cores(max_khz: Mapping[int, int]) -> dict[str, str]:
    """Files of ``/sys`` for each core with its highest clock, at which it runs."""
    found = {}
    for core, clock in max_khz.items():
        folder = f"board-sys/devices/system/cpu/cpu{core}/cpufreq"
        found[f"{folder}/scaling_governor"] = "performance\n"
        for name in ("cpuinfo_max_freq", "scaling_cur_freq"):
            found[f"{folder}/{name}"] = f"{clock}\n"
    return found


@contextmanager
def phone(place: Workplace, folder: Path) -> Iterator[Phone]:
    """A phone, which ``adb`` of ``place`` reaches until the block ends. It has no Python."""
    root = folder / "root"
    for name in ("system/bin", f"{TMP}", "state/settings"):
        (root / name).mkdir(parents=True)
    write_programs(root / "system" / "bin", root / "state", there="/state")
    clocks = {core: 1_800_000 if core < 4 else 2_850_000 for core in range(8)}
    for name, text in _cores(clocks).items():
        write_text(root / name, text)
    files = parts.packages(SYSTEM, debian.SHELL)
    path = "/system/bin:/usr/bin:/bin"
    with (
        switched_on(root, files, PHONE_CPU, cpu_info(PHONE_CPU, 8), path=path) as machine,
        phone_server(folder, runner=machine.runner) as server,
    ):
        place.environment["ANDROID_ADB_SERVER_PORT"] = str(server.adb_port)
        yield Phone("phone", f"127.0.0.1:{server.port}", machine, root / "state")
