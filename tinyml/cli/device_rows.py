"""What ``tinyml device`` prints of a board: its entry, what was found there, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tinyml.cli.terminal import put, say
from tinyml.core.typed_json import to_json

if TYPE_CHECKING:
    from tinyml.core.device import Device
    from tinyml.pipeline.devices.check import DeviceCheck

LABEL = 14


def check_json(found: DeviceCheck) -> dict[str, object]:
    return {"ready": found.ready, **to_json(found)}


def put_pairs(rows: list[tuple[str, str]]) -> None:
    from tinyml.pages.tables import paragraph

    for label, text in rows:
        put(paragraph(f"{label:<{LABEL}}", text))


def recorded_rows(device: Device) -> list[tuple[str, str]]:
    from tinyml.pipeline.devices.inventory import place

    rows = [
        ("name", device.name),
        ("reached", place(device)),
        ("target", device.target),
        ("Python", device.python or "the system's python3"),
        ("tags", ", ".join(device.tags) or "-"),
        *([("emulated", "its times are not those of a board")] if device.emulated else []),
    ]
    return [row for row in rows if row[0] != "Python" or device.link != "adb"]


def system_rows(found: DeviceCheck) -> list[tuple[str, str]]:
    facts = found.facts
    kernel = f"kernel {facts.kernel}" if facts.kernel else ""
    bits = f"{facts.bits}-bit programs" if facts.bits else ""
    rows = [
        ("board", ", ".join(filter(None, (facts.board or "not known", facts.soc)))),
        ("system", ", ".join(filter(None, (facts.system, kernel, facts.arch, bits)))),
    ]
    if facts.python:
        rows.append(("Python there", f"{facts.python}, {facts.python_path}, {facts.libc}"))
    return rows


def hardware_rows(found: DeviceCheck) -> Iterator[tuple[str, str]]:
    from tinyml.core.cpu_features import KNOWN

    facts = found.facts
    features = " ".join(own for own in facts.cpu_features if own in KNOWN)
    cores = " ".join([f"{facts.cores or '?'} cores", *facts.cpus])
    clocks = ", ".join(f"{n} of {khz // 1000:,} MHz" for khz, n in Counter(facts.max_khz).items())
    yield "processor", "; ".join(filter(None, (cores, clocks, features)))
    free = f", {facts.memory_free_mb:,} MB free" if facts.memory_free_mb else ""
    pages = f"; pages of {facts.page_kib} KiB" if facts.page_kib else ""
    yield "memory", f"{facts.memory_mb:,} MB{free}{pages}" if facts.memory_mb else "not known"
    if facts.disk_free_mb is not None:
        yield "disk", f"{facts.disk_free_mb:,} MB free in {facts.home}"
    if facts.noexec:
        yield "noexec", f"{', '.join(facts.noexec)}: cannot run programs"
    if facts.python:
        yield "installed", _versions(facts.packages)
        yield "installable", _versions(found.installable)
    yield from facts.more.items()
    yield "lock", found.lock or "free"


def _versions(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}".strip() for name, version in packages.items()) or "nothing"


def say_problems(found: DeviceCheck, *, blocking: bool = True) -> None:
    for own in found.problems:
        if blocking or not own.blocks:
            say(f"{'problem' if own.blocks else 'warning'}: {own.what}\n  fix: {own.fix}")
