"""The declared metadata of two bundles or files: signature, processor, and their parity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyml.core.bundle import JUDGED, Bundle, StageParity
from tinyml.core.spec import TensorSpec
from tinyml.core.typed_json import to_json
from tinyml.modelfile.contents import TensorSummary
from tinyml.pipeline import formats
from tinyml.pipeline.compare_files import Both, Contents, both

Declared = tuple[Bundle | None, Contents]


@dataclass(frozen=True, slots=True)
class EngineParity:
    """An engine's rows in one bundle.

    lowest_db  the lowest SQNR of what was judged, at ``stage``; ``None`` where every output
               is exact or silent, or nothing was judged
    is_exact   whether every output that was judged is the very same
    """

    verdict: str
    lowest_db: float | None
    stage: str
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class ParityPair:
    """An engine's evidence on both sides; ``None`` where a side has none."""

    engine: str
    a: EngineParity | None
    b: EngineParity | None


def compare_about(a: Bundle | None, b: Bundle | None) -> tuple[Both, ...]:
    """Where each comes from."""
    return both(_about(a), _about(b))


def _about(bundle: Bundle | None) -> dict[str, str]:
    if bundle is None:
        return {}
    facts = {"tinyml": bundle.facts.tinyml, "recipe": bundle.facts.recipe_id}
    told = {name: value for name, value in facts.items() if value}
    return {"model": bundle.model, "target": bundle.target, **told}


def compare_signatures(a: Declared, b: Declared) -> tuple[Both, ...]:
    """Each input and output, by name: shape and type; names of axes and rates of two bundles."""
    full = a[0] is not None and b[0] is not None
    return both(_signature(*a, full), _signature(*b, full))


def _signature(bundle: Bundle | None, file: Contents, full: bool) -> dict[str, str]:
    if bundle is not None:
        own: Any = bundle.signature
    elif file.facts is not None:
        own = file.facts
    else:
        return {}
    kinds = (("input", own.inputs), ("output", own.outputs))
    found = {f"{kind} {spec.name}": _tensor(spec, full) for kind, of in kinds for spec in of}
    if full and bundle is not None:
        found |= {f"state {pair.input}": f"from {pair.output}" for pair in bundle.signature.states}
    return found


def _tensor(spec: TensorSpec | TensorSummary, full: bool) -> str:
    text = f"{spec.dtype} {' x '.join(map(str, spec.shape)) or 'scalar'}"
    if full and isinstance(spec, TensorSpec):
        text += f", axes {' '.join(spec.axes)}" if spec.axes else ""
        text += f", {spec.rate_hz} Hz" if spec.rate_hz else ""
    return text


def compare_processors(a: Bundle | None, b: Bundle | None) -> tuple[Both, ...]:
    """Every setting of what surrounds the graph."""
    return both(_processor(a), _processor(b))


def _processor(bundle: Bundle | None) -> dict[str, str]:
    data = to_json(bundle.processor) if bundle is not None and bundle.processor else {}
    return {name: _text(value) for name, value in data.items()}


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(_text(item) for item in value) or "none"
    return str(value)


def compare_parity(a: Bundle | None, b: Bundle | None) -> tuple[ParityPair, ...]:
    """Engine by engine."""
    of_a, of_b = (_engines(side) if side is not None else {} for side in (a, b))
    names = dict.fromkeys([*of_a, *of_b])
    return tuple(ParityPair(name, of_a.get(name), of_b.get(name)) for name in names)


def _engines(bundle: Bundle) -> Mapping[str, EngineParity]:
    """By engine; a model file whose outputs have no row was not judged."""
    rows: dict[str, list[StageParity]] = {}
    for row in bundle.parity.stages:
        rows.setdefault(row.engine, []).append(row)
    for model in bundle.models:
        rows.setdefault(formats.runtime_of(formats.named(model.format)).optimised, [])
    return {engine: _engine(mine) for engine, mine in rows.items()}


def _engine(rows: Sequence[StageParity]) -> EngineParity:
    judged = [row for row in rows if row.verdict in JUDGED]
    noise = {row.stage: math.inf for row in judged}
    for row in judged:
        if row.sqnr_db is not None:
            noise[row.stage] = min(noise[row.stage], row.sqnr_db)
    stage = min(noise, key=lambda name: noise[name], default="")
    lowest = noise.get(stage, math.inf)
    verdict = "not judged"
    if judged:
        verdict = "fail" if any(row.verdict == "fail" for row in judged) else "pass"
    if not math.isfinite(lowest):
        is_exact = bool(judged) and all(row.max_error == 0 for row in judged)
        return EngineParity(verdict, None, "", is_exact)
    return EngineParity(verdict, lowest, stage)


def compare_agreements(a: Bundle | None, b: Bundle | None) -> tuple[Both, ...]:
    """Labels that stay PyTorch's, and users' own metrics, by engine."""
    return both(_agreements(a), _agreements(b))


def _agreements(bundle: Bundle | None) -> dict[str, str]:
    if bundle is None:
        return {}
    labels = {
        f"{row.engine}, label agreement of {row.shown_unit}": f"{row.agreeing:,} of {row.count:,}"
        for row in bundle.parity.agreements
    }
    metrics = {
        f"{row.engine}, {row.name}": f"{row.value:.4g} on {row.samples:,} samples"
        + (f", {row.direction} is better" if row.direction else "")
        for row in bundle.parity.metrics
    }
    differences = {
        f"{row.engine}, {row.metric} in points of PyTorch's": row.difference.points
        for row in bundle.parity.agreements
        if row.difference is not None
    }
    return labels | differences | metrics
