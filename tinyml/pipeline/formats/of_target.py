"""What a target decides: which formats run there, and which of them an export writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinyml.core import registry
from tinyml.core.errors import UsageError
from tinyml.core.export_settings import ExportSettings
from tinyml.core.settings import complete
from tinyml.core.target import OLDER_RUNTIMES, Target
from tinyml.export.quantization.precision import Precision, find_precision
from tinyml.pipeline.formats import all_formats


def formats_there(target: Target) -> tuple[str, ...]:
    """Formats that some system of ``target`` has a runtime for, in the registry's order."""
    found = {OLDER_RUNTIMES.get(name, name) for name in target.runtimes}
    return tuple(known.name for known in all_formats() if known.runtime in found)


def formats_written(target: Target) -> tuple[str, ...]:
    """Formats that an export writes unless it is given others."""
    return target.formats or formats_there(target)


def complete_for(settings: ExportSettings, target: Target) -> ExportSettings:
    """``settings`` with every default; that of the formats is the target's."""
    chosen = complete(settings)
    if chosen.formats is not None:
        return chosen
    able = find_precision(chosen.precision).formats
    formats = formats_written(target)
    return replace(chosen, formats=tuple(n for n in formats if n in able) or formats)


def check_formats(formats: Sequence[str], target: Target, precision: Precision) -> None:
    """`UsageError` for a format that no runtime of ``target`` reads, or ``precision`` lacks."""
    if not formats:
        raise UsageError("`formats` is empty", hint=f"known: {', '.join(registry.FORMATS)}")
    there = formats_there(target)
    for name in formats:
        if name not in there:
            runtimes = ", ".join(target.runtimes)
            raise UsageError(
                f"no runtime on {target.name} reads {name}: it has {runtimes}",
                hint=f"choose `formats={','.join(there)}`, or another `target`",
            )
        if name not in precision.formats:
            raise UsageError(
                f"{name} cannot be written in {precision.name}",
                hint=f"formats of {precision.name}: {', '.join(precision.formats)}",
            )
