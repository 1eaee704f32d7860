"""What a target decides: which formats run there, and which of them an export writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tinyml.core import registry
from tinyml.core.errors import UsageError
from tinyml.core.export_settings import ExportSettings
from tinyml.core.settings import complete
from tinyml.core.target import OLDER_RUNTIMES, System, Target
from tinyml.core.versions import order
from tinyml.export.quantization.precision import Precision, find_precision
from tinyml.pipeline.formats import named

# Packages that are not called as their runtime is.
PACKAGES = {"ai-edge-litert": "litert"}


def formats_there(target: Target) -> tuple[str, ...]:
    """Formats that some system of ``target`` has a runtime for, in the registry's order."""
    read = {name for runtime in target.runtimes for name in _formats_of(runtime)}
    return tuple(name for name in registry.FORMATS if name in read)


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


def systems_without(target: Target, requirement: str) -> tuple[str, ...]:
    """Systems of ``target`` that ``requirement``, as ``onnxruntime>=1.17``, is not met on."""
    return tuple(n for n, own in target.systems.items() if not meets(own, requirement))


def newest_on(target: Target, systems: Iterable[str], requirement: str) -> str:
    """The runtime of ``requirement`` on ``systems``: ``onnxruntime 1.16.3 (old), ...``."""
    package = requirement.partition(">=")[0]
    runtime = PACKAGES.get(package, package)
    found = {name: target.systems[name].runtimes.get(runtime) for name in systems}
    return ", ".join(
        f"{runtime} {version} ({name})" if version else f"no {runtime} ({name})"
        for name, version in found.items()
    )


def meets(system: System, requirement: str) -> bool:
    """Whether ``system`` has the runtime in such a version, or another engine for the format.

    Every LiteRT is later than all of tflite-runtime; of others no oldest version is known.
    """
    package, _, oldest = requirement.partition(">=")
    name = PACKAGES.get(package, package)
    version = system.runtimes.get(name)
    if version is not None and order(version) >= order(oldest):
        return True
    wanted = OLDER_RUNTIMES.get(name, name)
    if wanted not in registry.RUNTIMES:  # that of a format which needs no wheel
        return True
    others = set(system.runtimes) - {name, *OLDER_RUNTIMES}
    return any(_formats_of(other) & _formats_of(wanted) for other in others)


def _formats_of(runtime: str) -> set[str]:
    return set(registry.load("runtime", OLDER_RUNTIMES.get(runtime, runtime)).formats)


def check_formats(formats: Sequence[str], target: Target, precision: Precision) -> None:
    """`UsageError` for a format that ``target`` has no runtime for, or none that is new enough.

    Or one that ``precision`` is not written in.
    """
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
        oldest = precision.minimum_runtimes.get(name, named(name).minimum_runtime)
        lacking = systems_without(target, oldest)
        if oldest and len(lacking) == len(target.systems):
            raise UsageError(
                f"{name} in {precision.name} needs {oldest}: "
                f"{target.name} has {newest_on(target, lacking, oldest)}",
                hint="choose another `precision`, other `formats`, or another `target`",
            )
