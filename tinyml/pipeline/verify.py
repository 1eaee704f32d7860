"""Is a bundle what was written, and does it still compute what PyTorch computed?

It passes only where the rows judged here are exactly those that its manifest declares.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyml.core import bundle as bundles
from tinyml.core.bundle import Bundle, Parity
from tinyml.core.errors import BundleError, ValidationError
from tinyml.core.events import Report
from tinyml.core.finite import check_finite
from tinyml.core.spec import Signature
from tinyml.core.target import all_targets
from tinyml.export import parity
from tinyml.pipeline.checked_bundle import read_checked
from tinyml.pipeline.declared_rows import (
    check_parts,
    check_rows,
    engine_rows,
    instrumented_rows,
    program_rows,
)
from tinyml.pipeline.formats import by_runtime
from tinyml.pipeline.outputs.compare_engines import compare_engines
from tinyml.pipeline.outputs.engines import Engine, given_engines, installed, joining
from tinyml.pipeline.outputs.optional_engines import compare_optional
from tinyml.pipeline.outputs.reference import Reference


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked: unchanged files, parity rows, and engines that are not installed.

    ``digest`` is the sha256 of the manifest; ``engines``: a line for each optional engine, and
    for each that tells what it computed in. ``parts``: folder in the bundle -> what was checked
    of the streaming graph in it.
    """

    files: int
    digest: str
    judged: int
    parity: Parity
    skipped: tuple[str, ...]
    engines: tuple[str, ...] = ()
    parts: Mapping[str, Verified] = field(default_factory=dict)


def verify(folder: Path, report: Report, digest: str | None = None) -> Verified:
    """Re-hash everything, then repeat parity on every runtime that is installed.

    ``digest``: the sha256 of the manifest, or how it begins, as an export printed it.

    Raises `ValidationError` (another digest, changed file, contradiction, first diverging stage,
    rows that are not judged), `BundleError`, `UsageError` for what cannot be a digest, or
    `MissingExtraError` when no runtime is installed at all.
    """
    bundle, expected = read_checked(folder, digest)
    for case, inputs in expected.inputs.items():
        check_finite(f"{bundles.REFERENCE}: case '{case}', input", inputs, error=BundleError)
    _check_manifest_rows(bundle, expected)
    stated = {row.engine for row in bundle.parity.stages}
    names = {*_runtimes(bundle.target), *(engine.partition("+")[0] for engine in stated)}
    found, skipped = installed(folder, bundle.models, names)
    # Those of which the manifest holds rows; where there are none, all that can run here.
    ready = [e for e in found if not e.optional or e.optimised in stated] or found
    for engine in ready:
        check_signature(engine, bundle.signature)
    rows = compare_engines(ready, expected, bundle.stages, report)
    checked = Parity(stages=rows)
    parity.gate(checked, formats=by_runtime())
    repeated = [row for engine in ready for row in engine_rows(engine, bundle, expected)]
    check_rows(rows, repeated, "this run")
    check_parts(rows, bundle.parity.stages)
    others = [engine for engine in found if engine not in ready]
    optional = compare_optional(others, expected, bundle.stages, report)
    shown = Parity(stages=(*rows, *(row for own in optional for row in own.rows)))
    lines = (*_precisions(ready), *(own.line for own in optional))
    parts = {own: verify(folder / own, report) for own in bundle.facts.graphs}
    return Verified(len(bundle.files), bundle.digest, shown.judged, shown, skipped, lines, parts)


def _runtimes(target: str) -> Collection[str]:
    """Those here that the target of a bundle has; none of a target that is not known here."""
    known = all_targets().get(target)
    return joining(known) if known else ()


def _precisions(engines: Sequence[Engine]) -> Iterator[str]:
    """A line for each engine that tells what it computed in."""
    for engine in engines:
        if precision := engine.open().precision:
            version = engine.runtime.version()
            yield f"{engine.model.path}: {engine.name} {version} computed in {precision}"


def _check_manifest_rows(bundle: Bundle, expected: Reference) -> None:
    """The rows of the manifest, also of runtimes that are not installed here."""
    declared = [*program_rows(bundle, expected)]
    stated = {row.engine for row in bundle.parity.stages}
    for engine in given_engines(bundle.folder, bundle.models):
        if not engine.optional:
            declared += instrumented_rows(engine, bundle, expected)
        elif engine.optimised not in stated:
            continue
        declared += engine_rows(engine, bundle, expected)
    check_rows(bundle.parity.stages, declared, "the manifest")


def check_signature(engine: Engine, signature: Signature) -> None:
    """`ValidationError` unless the file takes and gives what ``signature`` of its bundle says."""
    in_file = engine.open().signature
    for kind in ("inputs", "outputs"):
        found, wanted = (
            {spec.name: f"{spec.dtype}{list(spec.shape)}" for spec in getattr(own, kind)}
            for own in (in_file, signature)
        )
        if found != wanted:
            raise ValidationError(
                f"{engine.model.path} has the {kind} {_shown(found)}, "
                f"the manifest {_shown(wanted)}",
                hint="copy the bundle again, or export it again",
            )


def _shown(tensors: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in sorted(tensors.items()))
