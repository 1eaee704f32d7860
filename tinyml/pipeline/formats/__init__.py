"""The registry's file formats as objects: by name, or by the suffix of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, cast

from tinyml.core import registry
from tinyml.core.errors import InputError
from tinyml.runtimes.own_files import OwnFiles

if TYPE_CHECKING:
    from tinyml.export.formats.base import Format
    from tinyml.runtimes.base import Runtime


def all_formats() -> Iterator[Format]:
    """Every format, in the registry's order."""
    return (named(name) for name in registry.FORMATS)


def named(name: str) -> Format:
    """The format called ``name``; `UsageError` if there is none."""
    return cast("Format", registry.load("format", name))


def find(path: PurePath) -> Format | None:
    """The format of ``path`` by its suffix; ``None``: it is not a model file."""
    return next((known for known in all_formats() if known.suffix == path.suffix), None)


def format_of(path: Path) -> Format:
    """`find`, or `InputError` with the suffixes that are known."""
    found = find(path)
    if found is None:
        known = ", ".join(known.suffix for known in all_formats())
        raise InputError(f"{path} is not a model file", hint=f"those end in {known}")
    return found


def runtime_of(model_format: Format) -> Runtime:
    """The reference engine for files of ``model_format``: the one that each must run in."""
    return cast("Runtime", registry.load("runtime", model_format.runtime))


def runtimes_of(model_format: Format) -> Iterator[Runtime]:
    """`runtime_of`, then the other engines that open such files."""
    yield runtime_of(model_format)
    for name in registry.RUNTIMES:
        runtime = cast("Runtime", registry.load("runtime", name))
        if name != model_format.runtime and model_format.name in runtime.formats:
            yield runtime


def runtime_for(path: Path) -> Runtime:
    """The engine for the file at ``path``, in this process: for files that we wrote."""
    return OwnFiles(runtime_of(format_of(path)))


def by_runtime() -> dict[str, str]:
    """Engine -> the format that it runs, both by name."""
    return {own.name: known.name for known in all_formats() for own in runtimes_of(known)}
