"""What prevents a board from running bundles, each with the command that fixes it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tinyml.core.board_facts import BoardFacts
from tinyml.core.device import Device
from tinyml.core.target import OLDEST_PYTHON, SUFFIX, Target
from tinyml.core.versions import order
from tinyml.device.how_it_runs import how_it_runs
from tinyml.pipeline.devices.choose import target_name
from tinyml.pipeline.devices.recognise import recognise
from tinyml.pipeline.devices.wheels import missing_packages, no_wheels

LEAST_FREE_MB = 100
# Of the board's clock: what it writes would have the wrong time.
MOST_CLOCK_S = 120.0
FREE_SPACE = "on the board: sudo apt clean; du -xh ~ | sort -h | tail shows what is large"
NEW_SYSTEM = "write Raspberry Pi OS (64-bit), bookworm or newer, to its card with rpi-imager"


@dataclass(frozen=True, slots=True)
class BoardProblem:
    """``what`` is wrong and what to do; ``blocks``: until then no bundle runs there."""

    what: str
    fix: str
    blocks: bool = True


def problems_of(
    facts: BoardFacts, device: Device, target: Target, clock_s: float
) -> tuple[BoardProblem, ...]:
    """All that is wrong with ``device``, which is recorded as ``target``; ``clock_s``: the time."""
    found = [*_target(facts, device, target)]
    if how_it_runs(device) == "runner":
        python = [*_python(facts, device)]
        # A Python that is itself the problem is not to get packages.
        found += python or _packages(facts, device, target)
        found += [*_disk(facts, device), *_clock(facts, clock_s)]
    return tuple(found)


def setup_command(device: Device) -> str:
    """The command that installs what is missing on ``device``."""
    return f"tinyml device check {device.name} --setup"


def add_command(device: Device) -> str:
    """The command that records ``device`` as it is, in place of the one with its name."""
    words = ["tinyml", "device", "add", device.name, device.address]
    words += ["--link", device.link] if device.link != "ssh" else []
    words += ["--target", device.target] + (["--python", device.python] if device.python else [])
    words += [part for tag in device.tags for part in ("--tag", tag)]
    words += ["--emulated"] if device.emulated else []
    return shlex.join([*words, "--force"])


def _target(facts: BoardFacts, device: Device, target: Target) -> Iterator[BoardProblem]:
    recorded, found = target_name(device.target), recognise(facts)
    own_file = device.target.endswith(SUFFIX)
    if found is not None and found.target.name != recorded and not own_file:
        yield BoardProblem(
            f"it is recorded as {recorded}, and is {found.target.name}: {found.because}",
            add_command(replace(device, target=found.target.name)),
        )
    # On a board with 32-bit programs those are the problem, whatever its kernel.
    elif facts.arch != target.arch and (facts.bits == 64 or how_it_runs(device) != "runner"):
        yield BoardProblem(
            f"it is recorded as {recorded}, which is {target.arch}, and it is {facts.arch}",
            "tinyml targets lists targets, and docs/targets.md describes a file of your own",
        )


def _python(facts: BoardFacts, device: Device) -> Iterator[BoardProblem]:
    if order(facts.python)[:2] < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        other = add_command(replace(device, python="PATH"))
        yield BoardProblem(
            f"{facts.python_path} is Python {facts.python}, and tinyml needs {oldest} or newer",
            f"{NEW_SYSTEM}; or name another Python of the board: {other}",
        )
    if facts.bits != 64:
        kernel = f" (its kernel is {facts.arch})" if "64" in facts.arch else ""
        yield BoardProblem(
            f"its programs are {facts.bits}-bit{kernel}: no runtime has wheels for them", NEW_SYSTEM
        )


def _packages(facts: BoardFacts, device: Device, target: Target) -> Iterator[BoardProblem]:
    setup = setup_command(device)
    missing = missing_packages(target, facts.packages)
    if missing:
        verb, why = "is" if len(missing) == 1 else "are", no_wheels(target, facts)
        what = f"{', '.join(missing)} {verb} not installed for {facts.python_path}"
        by_hand = f"use a system that tinyml targets {target.name} lists, or install them yourself"
        yield BoardProblem(f"{what}; {why}" if why else what, by_hand if why else setup)
    if missing and not facts.has_venv:
        yield BoardProblem(
            "its Python cannot make a virtual environment",
            "on the board: sudo apt install python3-venv",
        )
    older, numpy = facts.packages.get("tflite-runtime"), facts.packages.get("numpy")
    if older and numpy and "ai-edge-litert" not in facts.packages and order(numpy) >= (2,):
        yield BoardProblem(f"tflite-runtime {older} needs numpy 1, and it has {numpy}", setup)


def _disk(facts: BoardFacts, device: Device) -> Iterator[BoardProblem]:
    home, quoted = facts.home, shlex.quote(facts.home)
    if home in facts.noexec:
        yield BoardProblem(
            f"programs and libraries in {home} cannot be run: it is mounted noexec",
            f"on the board: sudo mount -o remount,exec $(findmnt -no TARGET -T {quoted})",
        )
    if not facts.home_writable:
        yield BoardProblem(
            f"{home} cannot be written to",
            f"on the board: sudo chown $(id -u) {quoted}",
        )
    if facts.disk_free_mb is not None and facts.disk_free_mb < LEAST_FREE_MB:
        yield BoardProblem(
            f"its disk is nearly full: {facts.disk_free_mb} MB are free in {home}",
            FREE_SPACE,
        )


def _clock(facts: BoardFacts, clock_s: float) -> Iterator[BoardProblem]:
    if facts.clock_s is not None and abs(facts.clock_s - clock_s) > MOST_CLOCK_S:
        minutes = abs(facts.clock_s - clock_s) / 60
        side = "behind" if facts.clock_s < clock_s else "ahead"
        yield BoardProblem(
            f"its clock is {minutes:,.0f} minutes {side} of this machine's",
            "on the board: sudo timedatectl set-ntp true",
            blocks=False,
        )
