"""Which parity rows a bundle must have, and whether a list of rows has exactly those.

The stages, the model files and the cases of a bundle fix every row: its engine, case and stage,
and whether it has a verdict. So rows that were removed, added or no longer judged show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinyml.core.bundle import JUDGED, REFERENCE, Bundle, StageParity, Verdict
from tinyml.core.errors import ValidationError
from tinyml.pipeline.outputs.engines import Engine
from tinyml.pipeline.outputs.reference import Reference
from tinyml.pipeline.steps.instrumented import SUFFIX

Key = tuple[str, str, str]
MOST_SHOWN = 3
PROGRAMS = ("captured", "rewritten")
# The rewrite that is judged once more, as "equalized", where it was asked for.
EQUALIZE = "equalize_layers"
# A bundle is written only where no row fails.
PASSED: tuple[Verdict, ...] = ("pass",)


@dataclass(frozen=True, slots=True)
class DeclaredRow:
    """A row that there must be; ``name`` is a stage or an output, which may share their names."""

    engine: str
    case: str
    name: str
    verdicts: tuple[Verdict, ...] = PASSED

    @property
    def key(self) -> Key:
        """As of a `StageParity`."""
        return (self.engine, self.case, self.name)


def program_rows(bundle: Bundle, expected: Reference) -> Iterator[DeclaredRow]:
    """The rows that an export judges in PyTorch."""
    equalized = any(EQUALIZE in model.passes for model in bundle.models)
    for engine in (*PROGRAMS, *(("equalized",) if equalized else ())):
        for case, stages, outputs in _cases(bundle, expected):
            for stage in stages:
                yield DeclaredRow(engine, case, stage, ("pass", "fused away"))
            for output in outputs:
                yield DeclaredRow(engine, case, output)


def engine_rows(engine: Engine, bundle: Bundle, expected: Reference) -> Iterator[DeclaredRow]:
    """The rows of one model file in its runtime: its stages, and its outputs as users get them."""
    for case, stages, outputs in _cases(bundle, expected):
        judged = engine.judges(case, expected.inputs)
        verdict: tuple[Verdict, ...] = PASSED if judged else ("not judged",)
        for stage in stages if engine.runtime.reads_inside else ():
            shipped = engine.model.stages.get(stage) is not None
            yield DeclaredRow(engine.name, case, stage, verdict if shipped else ("fused away",))
        for output in outputs:
            yield DeclaredRow(engine.optimised, case, output, verdict)


def instrumented_rows(engine: Engine, bundle: Bundle, expected: Reference) -> Iterator[DeclaredRow]:
    """The rows that only an export can judge, see `tinyml.pipeline.steps.instrumented`."""
    for case, stages, _ in _cases(bundle, expected):
        for stage in stages:
            if stage in engine.model.instrumented:
                yield DeclaredRow(engine.name + SUFFIX, case, stage)


def check_rows(rows: Sequence[StageParity], declared: Sequence[DeclaredRow], whose: str) -> None:
    """Raise `ValidationError` unless ``rows`` of ``whose`` are the declared ones, no more or less.

    Their verdicts must be declared too, and a row that passed must be within its bound.
    """
    found = Counter(map(_key, rows))
    wanted = Counter(row.key for row in declared)
    verdicts: dict[Key, set[Verdict]] = {}
    for row in declared:
        verdicts.setdefault(row.key, set()).update(row.verdicts)
    missing, added = list((wanted - found).elements()), list((found - wanted).elements())
    other = [
        key
        for row in rows
        if (key := _key(row)) in verdicts
        and (row.verdict not in verdicts[key] or (row.verdict in JUDGED and not _within(row)))
    ]
    kinds = ((missing, "missing"), (added, "too many"), (other, "of another verdict"))
    wrong = [f"{len(keys)} are {what} ({_shown(keys)})" for keys, what in kinds if keys]
    if wrong:
        raise ValidationError(
            f"the parity rows of {whose} are not those of this bundle's stages, files and cases: "
            + "; ".join(wrong),
            hint="the bundle was changed after its export: copy it again, or export it again",
        )


def check_parts(rows: Sequence[StageParity], manifest: Sequence[StageParity]) -> None:
    """Raise `ValidationError` where ``rows`` do not judge the parts of what the export did.

    Which part is the worst may differ between machines.
    """
    in_parts = {_key(row) for row in manifest if row.part and row.verdict in JUDGED}
    whole = [_key(row) for row in rows if not row.part and _key(row) in in_parts]
    if whole:
        raise ValidationError(
            f"{REFERENCE} lacks the parts of {len(whole)} rows ({_shown(whole)})",
            hint="the bundle was changed after its export: copy it again, or export it again",
        )


def _key(row: StageParity) -> Key:
    return (row.engine, row.case, row.stage)


def _cases(
    bundle: Bundle, expected: Reference
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Each case with its stages, in network order, and its outputs."""
    for case in expected.inputs:
        known = expected.stages[case]
        yield case, tuple(s for s in bundle.stages if s in known), tuple(expected.outputs[case])


def _within(row: StageParity) -> bool:
    return row.max_error is not None and row.bound is not None and row.max_error <= row.bound


def _shown(keys: Sequence[Key]) -> str:
    shown = [f"{engine}, case '{case}', '{name}'" for engine, case, name in keys[:MOST_SHOWN]]
    return "; ".join([*shown, "..."] if len(keys) > MOST_SHOWN else shown)
