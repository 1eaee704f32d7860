"""Two bundles or model files next to each other: contents, declared metadata, and latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle
from tinyml.core.errors import BundleError, InputError
from tinyml.core.events import Report
from tinyml.core.time_ratio import MARGIN
from tinyml.pipeline.bench import BenchFile
from tinyml.pipeline.compare_files import Both, Contents, FileComparison, compare_files, contents
from tinyml.pipeline.compare_latency import (
    Found,
    LatencyPair,
    compare_latency,
    on_cpu_clock,
    only_averages,
    stored,
    stored_wholes,
    take,
)
from tinyml.pipeline.compare_metadata import (
    ParityPair,
    compare_about,
    compare_agreements,
    compare_parity,
    compare_processors,
    compare_signatures,
)
from tinyml.pipeline.cross_check import contradictions
from tinyml.pipeline.timing import Timing


@dataclass(frozen=True, slots=True)
class Side:
    """A bundle, or one model file."""

    path: Path
    bundle: Bundle | None
    files: tuple[Contents, ...]

    def to_json(self) -> dict[str, Any]:
        kind = "file" if self.bundle is None else "bundle"
        return {"path": str(self.path), "kind": kind, "files": [f.path.name for f in self.files]}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A and B. ``files`` are pairs of one format, or of two where they share none."""

    a: Side
    b: Side
    about: tuple[Both, ...]
    files: tuple[FileComparison, ...]
    signature: tuple[Both, ...]
    processor: tuple[Both, ...]
    parity: tuple[ParityPair, ...]
    agreements: tuple[Both, ...]
    latency: tuple[LatencyPair, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        rows = ("about", "signature", "processor", "parity", "agreements")
        return {
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "files": [pair.to_json() for pair in self.files],
            **{name: [asdict(row) for row in getattr(self, name)] for name in rows},
            "latency": [row.to_json() for row in self.latency],
            "notes": list(self.notes),
        }


def compare(
    a: Path,
    b: Path,
    timing: Timing | None,
    report: Report,
    *,
    cpu_time: bool = False,
    most: float = MARGIN,
) -> Comparison:
    """Compare ``b`` with ``a``; nothing is run without ``timing``.

    Latency comes from what `tinyml bench` left next to them, or is measured as ``timing``
    says, with more turns where a ratio is beyond `MARGIN` or ``most``, and its interval is not.
    With ``cpu_time``, CPU times are compared. Raises `InputError` for a path that is neither a
    bundle nor a model file, or not whole.
    """
    sides = read(a), read(b)
    files = tuple(compare_files(*pair) for pair in _pairs(*sides))
    beside = stored(a), stored(b)
    measured: tuple[Found, Found] = stored_wholes(beside[0]), stored_wholes(beside[1])
    notes = (*_unpaired(files, *sides), *_averages(*beside))

    def latency(of_a: Found, of_b: Found) -> tuple[LatencyPair, ...]:
        clock = on_cpu_clock if cpu_time else dict
        return compare_latency(files, clock(of_a), clock(of_b))

    def is_undecided(of_a: Found, of_b: Found) -> bool:
        pairs = latency(of_a, of_b)
        return any(own.result.is_undecided(limit) for own in pairs for limit in (MARGIN, most))

    if timing is not None:
        of_a, of_b, lacking = take(a, b, files, timing, report, is_undecided)
        measured, notes = (of_a, of_b), (*notes, *lacking)
    owners = sides[0].bundle, sides[1].bundle
    return Comparison(
        *sides,
        about=compare_about(*owners),
        files=files,
        signature=compare_signatures((owners[0], files[0].a), (owners[1], files[0].b)),
        processor=compare_processors(*owners),
        parity=compare_parity(*owners),
        agreements=compare_agreements(*owners),
        latency=latency(*measured),
        notes=notes,
    )


def read(path: Path) -> Side:
    """A bundle's folder or one model file, without running it; `InputError`."""
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"no such file or directory: {path}")
        return Side(path, None, (contents(path, None),))
    bundle = bundles.read(path)
    lost = [model.path for model in bundle.models if not bundle.file(model).is_file()]
    if lost or not bundle.models:
        raise BundleError(
            f"{path} lacks its model file {', '.join(lost)}".rstrip(),
            hint="copy the bundle again, or export it again",
        )
    return Side(path, bundle, tuple(contents(bundle.file(m), m) for m in bundle.models))


def _pairs(a: Side, b: Side) -> list[tuple[Contents, Contents]]:
    same = [(x, y) for x in a.files for y in b.files if x.format == y.format]
    return same or [(a.files[0], b.files[0])]


def _averages(a: Sequence[BenchFile], b: Sequence[BenchFile]) -> list[str]:
    return [
        f"{letter} was timed on a phone: averages give no verdict"
        for letter, found in (("A", a), ("B", b))
        if only_averages(found)
    ]


def _unpaired(files: tuple[FileComparison, ...], a: Side, b: Side) -> tuple[str, ...]:
    """What is in one side only, what was changed, contradicts itself or cannot be read."""
    paired = {side.path for pair in files for side in (pair.a, pair.b)}
    notes = [
        f"{letter}'s bundle contradicts itself: {line}"
        for letter, side in (("A", a), ("B", b))
        for line in (contradictions(side.bundle) if side.bundle is not None else ())
    ]
    notes += [side.note for pair in files for side in (pair.a, pair.b) if side.note]
    for letter, side, other in (("A", a, "B"), ("B", b, "A")):
        names = [file.path.name for file in side.files if file.path not in paired]
        notes += [f"{letter}'s {name} has no counterpart in {other}" for name in names]
    if files[0].a.format != files[0].b.format:
        notes.append("they are of different formats: operators have other names in each")
    return tuple(dict.fromkeys(notes))
