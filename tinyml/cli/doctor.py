"""``tinyml doctor``: what this machine has and lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tinyml.cli.terminal import AsJson, put, put_json, put_table
from tinyml.core.typed_json import to_json

if TYPE_CHECKING:
    from tinyml.pipeline.machine import ThisMachine

LABEL = 16


def command(
    as_json: AsJson = False,
) -> None:
    """Show what works on this machine, what is missing, and what is broken.

    Shows CPU features and what they mean, memory and its limit, free disk, every package by
    extra, and how to install what is missing. Each package is imported in a process of its own.
    The exit code is 1 if something is broken: a package that is installed but cannot be imported
    or has another version than needed, or a folder that cannot be written to.
    """
    from tinyml.pages.tables import paragraph
    from tinyml.pipeline.doctor import diagnose

    found = diagnose()
    if as_json:
        put_json(to_json(found))
        found.require_sound()
        return
    for name, value in _facts(found.machine):
        put(paragraph(f"{name:<{LABEL}}", value))
    put("")
    works = [(own.what, "yes" if own.works else "no", own.because) for own in found.works]
    put_table(("command", "works", "because"), works, whole=("command", "works"))
    put("")
    rows = [
        (p.extra, p.package, p.version or "-", p.needs or "any", p.state) for p in found.packages
    ]
    put_table(("extra", "package", "version", "needed", "state"), rows)
    for hint in found.hints:
        put(f"\nhint: {hint}")
    found.require_sound()


def _facts(machine: ThisMachine) -> Iterator[tuple[str, str]]:
    yield "tinyml", machine.tinyml
    yield "python", machine.python
    yield "system", machine.system
    yield "CPU", machine.cpu
    yield "CPU features", ", ".join(machine.cpu_features) or "not known"
    for row in machine.kernels:
        yield f"  {row.what}", f"{row.feature}: {row.meaning}"
    yield "cores", f"{machine.cores}"
    yield "governor", machine.governor or "not known"
    limit = machine.memory_limit_mb
    yield "memory", f"{machine.memory_mb:,} MB"
    yield "memory limit", f"{limit:,} MB, of the control group" if limit else "none"
    for disk in machine.disks:
        denied = "" if disk.writable else ", cannot be written to"
        yield disk.use, f"{disk.free_mb:,} MB free in {disk.folder}{denied}"
    yield "data", machine.data or "TINYML_DATA is not set: synthetic data only"
