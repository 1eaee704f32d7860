"""Where the time of a call goes: the times of a file's operators, and their shares.

Shares are properties, computed from the times and never stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tinyml.core.measurement import Clock, Label

Method = Literal["profiler", "by difference"]


@dataclass(frozen=True, slots=True)
class LayerTime:
    """One operator as its runtime runs it, or several from a cut of the file to the next.

    name      of the file's operator; empty for what the runtime adds, as conversions of layouts
    op        as the runtime calls it
    module    the user's submodule that it computes; empty where that is not known
    ns        mean time in a call
    macs      multiply-accumulates; ``None`` where a shape is not known
    error_ns  half of the range over turns; of differences alone
    """

    name: str
    op: str
    module: str
    ns: float
    macs: int | None = 0
    error_ns: float | None = None


@dataclass(frozen=True, slots=True)
class ModuleTime:
    """All of a submodule: ``operators`` of it, their time and multiply-accumulates."""

    name: str
    operators: int
    ns: float
    macs: int | None
    error_ns: float | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One model file in one runtime, in a process of its own.

    version       of the runtime
    label         where it ran; ``device``: its name
    method        the runtime's own profiler; or ``by difference``: parts of the file were timed
    unprofiled_ns  median of whole calls, as users have them
    unprofiled_cpu_ns  their median CPU time; ``None`` by difference
    profiled_ns   the same with the profiler, which takes time itself; ``None`` without one
    calls         with the profiler, or of each part
    clock         ``cpu``: parts were timed on a busy machine, in CPU time
    layers        in the order of the file, then what the runtime adds
    """

    model: str
    model_sha256: str
    runtime: str
    version: str
    threads: int
    label: Label
    method: Method
    calls: int
    unprofiled_ns: float
    profiled_ns: float | None
    layers: tuple[LayerTime, ...]
    clock: Clock = "wall"
    device: str | None = None
    unprofiled_cpu_ns: float | None = None

    @property
    def disturbed_share(self) -> float:
        """The share of a call in which others had the core; 0 where that is not known."""
        if self.unprofiled_cpu_ns is None or self.threads > 1 or not self.unprofiled_ns:
            return 0.0
        return max(0.0, 1.0 - self.unprofiled_cpu_ns / self.unprofiled_ns)

    @property
    def title(self) -> str:
        """Of what, for a heading."""
        where = f" on {self.device}" if self.device and self.label != "host" else ""
        return f"{self.model} in {self.runtime} {self.version}{where}"

    @property
    def total_ns(self) -> float:
        """The sum over layers, which shares refer to."""
        return sum(_time(own) for own in self.layers)

    @property
    def macs(self) -> int | None:
        """The sum over layers; ``None`` where one is not known."""
        return _sum(own.macs for own in self.layers)

    @property
    def modules(self) -> tuple[ModuleTime, ...]:
        """By submodule, in the order of the file; what the runtime adds is one row, the last.

        A layer without a submodule is a row of its own.
        """
        grouped: dict[str, list[LayerTime]] = {}
        for own in self.layers:
            grouped.setdefault(self._row(own), []).append(own)
        return tuple(_of_module(name, own) for name, own in grouped.items())

    @property
    def added(self) -> str:
        """The name of the row of what the runtime adds to the file."""
        return f"added by {self.runtime}"

    def _row(self, layer: LayerTime) -> str:
        return layer.module or layer.name or self.added

    def time_share(self, own: LayerTime | ModuleTime) -> float:
        """Of the sum over layers, 0 to 1; of a difference below zero it is 0."""
        total = self.total_ns
        return _time(own) / total if total else 0.0

    def mac_share(self, own: LayerTime | ModuleTime) -> float | None:
        """Of all multiply-accumulates; ``None`` where some are not known, or there are none."""
        return own.macs / self.macs if own.macs is not None and self.macs else None


def _time(own: LayerTime | ModuleTime) -> float:
    return max(0.0, own.ns)


def _of_module(name: str, layers: list[LayerTime]) -> ModuleTime:
    errors = [own.error_ns for own in layers if own.error_ns is not None]
    return ModuleTime(
        name,
        len(layers),
        sum(_time(own) for own in layers),
        _sum(own.macs for own in layers),
        sum(errors) if errors else None,
    )


def _sum(macs: Iterable[int | None]) -> int | None:
    known = list(macs)
    found = [own for own in known if own is not None]
    return sum(found) if len(found) == len(known) else None
