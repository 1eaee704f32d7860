"""A board, phone or PC that a bundle is made for, read from ``targets/*.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tinyml.core.registry import unknown_name
from tinyml.core.typed_json import from_json

FOLDER = Path(__file__).parents[1] / "targets"


@dataclass(frozen=True, slots=True)
class Target:
    """What is known of a target before it is reached.

    ``runtimes`` maps a runtime's name to the newest version that has a wheel for the
    target's Python; a runtime that is missing does not exist there. ``runner`` starts each
    command of an emulated board, and ``board_python`` is that board's Python.
    """

    name: str
    aliases: tuple[str, ...]
    board: str
    arch: str
    cpu: str
    cpu_features: tuple[str, ...]
    memory_mb: int
    python: tuple[str, ...]
    runtimes: Mapping[str, str]
    formats: tuple[str, ...]
    link: str
    runner: tuple[str, ...] = ()
    board_python: str = "python3"

    @property
    def is_host(self) -> bool:
        """Whether the target is the machine that the command runs on."""
        return self.link == "local"


@cache
def all_targets() -> dict[str, Target]:
    """Every shipped target by name."""
    found = (_read(path) for path in sorted(FOLDER.glob("*.toml")))
    return {target.name: target for target in found}


def find_target(name: str) -> Target:
    """The target called ``name``, or having it as an alias; `UsageError` if none does."""
    for target in all_targets().values():
        if name == target.name or name in target.aliases:
            return target
    known = [n for t in all_targets().values() for n in (t.name, *t.aliases)]
    raise unknown_name("target", name, known)


def _read(path: Path) -> Target:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return from_json(Target, {**data, "name": path.stem}, what=f"{path}")
