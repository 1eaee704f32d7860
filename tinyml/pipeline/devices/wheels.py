"""What can be installed on a board: its target's table of wheels, for the board's own Python."""

from __future__ import annotations

from collections.abc import Mapping

from tinyml.core import registry
from tinyml.core.board_facts import BoardFacts
from tinyml.core.target import OLDER_RUNTIMES, System, Target
from tinyml.pipeline.formats import named
from tinyml.pipeline.formats.of_target import formats_written

NUMPY = "numpy"
GLIBC = "glibc "


def wheels_for(target: Target, facts: BoardFacts) -> Mapping[str, str]:
    """Package -> the newest version that has a wheel for the board: `needed_packages` alone.

    Empty where `no_wheels` has a reason.
    """
    system = system_of(target, facts)
    if no_wheels(target, facts) or system is None:
        return {}
    found = {_package(name): version for name, version in system.runtimes.items()}
    found[NUMPY] = system.numpy
    return {name: found.get(name, "") for name in needed_packages(target)}


def needed_packages(target: Target) -> tuple[str, ...]:
    """What bundles for ``target`` need there: numpy, and the runtime of each of their formats."""
    runtimes = dict.fromkeys(named(own).runtime for own in formats_written(target))
    return NUMPY, *(_package(own) for own in sorted(runtimes) if own in target.runtimes)


def missing_packages(target: Target, installed: Mapping[str, str]) -> tuple[str, ...]:
    """Those of `needed_packages` that are not ``installed``; an older one of its kind counts."""
    instead = {_package(new): old for old, new in OLDER_RUNTIMES.items()}
    return tuple(
        name
        for name in needed_packages(target)
        if name not in installed and instead.get(name) not in installed
    )


def system_of(target: Target, facts: BoardFacts) -> System | None:
    """The system of ``target`` whose wheels fit: that with the board's Python."""
    python = ".".join(facts.python.split(".")[:2])
    return next((own for own in target.systems.values() if own.python == python), None)


def no_wheels(target: Target, facts: BoardFacts) -> str:
    """Why no wheel fits the board, in words; empty where some may."""
    if facts.bits != 64:
        return f"its programs are {facts.bits}-bit, and runtimes have only 64-bit wheels"
    if not facts.libc.startswith(GLIBC):
        return f"its C library is {facts.libc or 'not known'}, and wheels need glibc"
    if system_of(target, facts) is None:
        known = ", ".join(own.python for own in target.systems.values() if own.python)
        return f"no wheels are known for Python {facts.python} there: only for {known or 'none'}"
    return ""


def _package(name: str) -> str:
    """The distribution of the runtime called ``name``."""
    return name if name in OLDER_RUNTIMES else str(registry.load("runtime", name).package)
