"""A target explained: what is known of the board, and what of it decides what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tinyml.core.cpu_features import Kernels, cpu_features, kernels
from tinyml.core.export_settings import FLOAT
from tinyml.core.target import Target
from tinyml.core.typed_json import to_json
from tinyml.export.quantization.precision import find_precision
from tinyml.pages.tables import paragraph, table
from tinyml.pipeline.formats.of_target import formats_there, formats_written

LABEL = 12
UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Explanation:
    """``target``, with what follows from it.

    runs     formats that a runtime there reads
    written  those that an export writes unless it is given others
    """

    target: Target
    kernels: tuple[Kernels, ...]
    runs: tuple[str, ...]
    written: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The target's own facts, and these."""
        return {
            **to_json(self.target),
            "newest_runtimes": dict(self.target.runtimes),
            "kernels": to_json(self.kernels),
            "runs": list(self.runs),
            "written": list(self.written),
        }


def explain(target: Target) -> Explanation:
    features = cpu_features() if target.is_host else target.cpu_features
    there, written = formats_there(target), formats_written(target)
    return Explanation(target, kernels(features), there, written)


def explanation_text(found: Explanation) -> str:
    """A page for a terminal."""
    lines = [paragraph(f"{name:<{LABEL}}", text) for name, text in _facts(found)]
    return "\n".join([f"{found.target.name}: {found.target.board}", *lines, "", _systems(found)])


def _facts(found: Explanation) -> Iterator[tuple[str, str]]:
    target = found.target
    if not target.is_host:
        cores = f", {target.cores} cores" if target.cores else ""
        yield "CPU", f"{target.cpu}, {target.arch}{cores}"
    for row in found.kernels:
        yield row.what, f"{row.feature}: {row.meaning}"
    yield "memory", _memory(target)
    yield "pages", _pages(target)
    yield "threads", f"{target.threads}, unless tinyml bench --threads is given"
    yield "formats", _formats(found)
    yield "activations", f"of 8 bits: {_activations(found)}"
    yield "precisions", "all: no CPU lacks one, they differ in speed"
    yield "link", target.link


def _activations(found: Explanation) -> str:
    """By format: the target decides where both types have kernels."""
    static, x86 = find_precision("w8a8-static"), found.target.is_x86
    types = ((fmt, static.activations_in(fmt, FLOAT, x86=x86)) for fmt in found.runs)
    return ", ".join(f"{dtype} in .{fmt}" for fmt, dtype in types)


def _memory(target: Target) -> str:
    if not target.memory_mb:
        return f"{UNKNOWN}: no model is refused for its activations"
    return f"{target.memory_mb:,} MB: a model whose activations need more at once is refused"


def _pages(target: Target) -> str:
    if target.page_kib == 4:
        return "4 KiB"
    size = target.page_kib << 10
    return f"{target.page_kib} KiB: link native code with -z max-page-size={size} or more"


def _formats(found: Explanation) -> str:
    written = ", ".join(found.written)
    rest = [name for name in found.runs if name not in found.written]
    if not rest:
        return f"{written}: an export writes all, unless it is given others"
    why = f" ({found.target.because})" if found.target.because else ""
    return f"an export writes {written}{why}; {', '.join(rest)} if it is asked to"


def _systems(found: Explanation) -> str:
    names = list(found.target.runtimes)
    rows = [
        (name, own.python or "-", *(own.runtimes.get(runtime, "-") for runtime in names))
        for name, own in found.target.systems.items()
    ]
    return table(("system", "Python", *names), rows)
