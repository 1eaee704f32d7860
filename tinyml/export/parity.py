"""Stage by stage: what an engine computed against what PyTorch computed. Runs nothing.

**What a stage is judged against.** The bound is ``rtol * max|want|`` of that stage in
that case, with nothing absolute in it, so it scales with the signal:

- *silence*: a bank of filters answers exactly zero, and so must every engine: sums of
  zeros have no rounding. Behind ``log10(power + eps)`` the reference is the constant
  log10(eps), far from zero: a lost eps is -inf there and fails. A stage that only leaves
  rounding noise (a constant minus its own mean) has no scale and would fail every
  engine; it must not be a stage of its own, or must keep a training statistic.
- *tiny*: float32 is relative, so 1e-5 of full scale keeps its 24 bits and its power,
  1e-10, is far from the smallest normal number (1e-38). It lands where eps is as large as
  the power: an eps that is off by a factor shows here.
- *impulse*: padding and alignment show, because all of the answer is near one instant.
- *full-scale*: the largest sums.

Not finite anywhere fails, on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tinyml.core.bundle import Parity, StageParity
from tinyml.core.errors import ValidationError
from tinyml.core.finite import is_finite
from tinyml.core.parts import Part
from tinyml.core.spec import Array, Arrays, Signature, TensorSpec
from tinyml.core.ties import Ties
from tinyml.core.tolerance import (
    POLICIES,
    PolicyName,
    largest_error,
    metric_bound,
    part_sqnr_db,
    sqnr_db,
)

TINY = 1e-5
# The captured program runs the module's own kernels in the same order; only how a sum is
# split may differ. Anything else, our rewritten program too, is another engine: a folded
# normalisation scales weights before it rounds, and rounds before it subtracts a mean.
CAPTURED_POLICY: PolicyName = "rewrite"
STAGE = "stages before it agree: look at what this stage computes"
OF_FLOATS: tuple[PolicyName, ...] = ("bitwise", "rewrite", "engine", "fp16")
INTEGERS = (
    "`auto_precision` keeps the most sensitive layers in float32, `explain` ranks them; "
    "or try another `ranges`"
)

PARTS = "its parts are of different size: return each as a separate output; "


def compare(
    engine: str,
    case: str,
    want: Arrays,
    got: Mapping[str, Array | None],
    order: Sequence[str],
    policy: PolicyName | None = None,
    step: float | None = None,
    parts: Mapping[str, Sequence[Part]] | None = None,
    ties: Mapping[str, Ties] | None = None,
) -> tuple[StageParity, ...]:
    """One row per name in ``order``; ``None`` in ``got`` is a stage that was fused away.

    ``step`` is one quantization step of the tensors in ``order``, where they have one;
    ``parts`` of a name are judged apart as well: the row tells of the worst. What hangs on
    ``ties`` is judged by its values at the places that the engine chose, which must be allowed;
    where it is these places, it must be exact.
    Without ``policy``, ``captured`` is judged as a rewrite and all others as engines. A
    name that ``got`` lacks altogether, or has in another shape, fails.
    """
    chosen = policy or (CAPTURED_POLICY if engine == "captured" else "engine")
    rows = []
    for name in order:
        value, own, wanted = got.get(name), (parts or {}).get(name, ()), want[name]
        tied, policy = (ties or {}).get(name), chosen
        if tied is not None and value is not None:
            wanted, policy = tied.nearest(value, wanted, chosen), tied.policy(chosen)
        row = _row(engine, case, name, wanted, got, policy, step)
        if value is not None and row.max_error is not None:
            row = _worst_part(row, value, wanted, own, step)
        rows.append(row)
    return tuple(rows)


def only_shown(rows: Sequence[StageParity]) -> tuple[StageParity, ...]:
    """``rows`` without a verdict; what is not finite or of another shape fails all the same."""
    return tuple(
        row if row.max_error is None else replace(row, verdict="not judged") for row in rows
    )


def _row(
    engine: str,
    case: str,
    stage: str,
    want: Array,
    got: Mapping[str, Array | None],
    policy: PolicyName,
    step: float | None = None,
) -> StageParity:
    value = got[stage] if stage in got else np.zeros(0)
    if value is None:
        return StageParity(engine, case, stage, "fused away", policy)
    if value.shape != want.shape or not (is_finite(want) and is_finite(value)):
        return StageParity(engine, case, stage, "fail", policy)
    error, bound = largest_error(value, want), POLICIES[policy].bound(want, step)
    sqnr = sqnr_db(value, want)
    return StageParity(
        engine=engine,
        case=case,
        stage=stage,
        verdict="pass" if POLICIES[policy].accepts(value, want, step) else "fail",
        policy=policy,
        max_error=error,
        bound=bound,
        sqnr_db=sqnr if np.isfinite(sqnr) else None,
    )


def _worst_part(
    row: StageParity, value: Array, want: Array, parts: Sequence[Part], step: float | None
) -> StageParity:
    """``row`` with the figures of the part that fails, or else has the most noise."""
    policy = POLICIES[row.policy]
    fails = {part: not policy.accepts_part(value, want, part, step) for part in parts}
    noise = {part: part_sqnr_db(value, want, part) for part in parts}
    worst = min(parts, key=lambda part: (not fails[part], noise[part]), default=None)
    if worst is None or not (fails[worst] or row.verdict == "pass"):
        return row
    return replace(
        row,
        verdict="fail" if fails[worst] else row.verdict,
        max_error=largest_error(worst.of(value), worst.of(want)),
        bound=policy.part_bound(want, worst, step),
        sqnr_db=None if np.isinf(noise[worst]) else noise[worst],
        part=str(worst),
    )


def gate(
    parity: Parity,
    accepted: float | None = None,
    remedies: str = INTEGERS,
    formats: Mapping[str, str] | None = None,
) -> None:
    """Raise `ValidationError` naming engine, case and the first stage out of tolerance.

    Where all stages hold, naming the engine whose metric is not PyTorch's; of what was held
    out, whose labels are clearly worse than ``accepted``, `metric_bound` where that is None.
    Parity of which no row was judged never passes.
    ``remedies``: the hint where integers are the cause; ``formats``: runtime -> the format of the
    file that it runs.
    """
    if not parity.judged:
        raise ValidationError(
            f"parity was not judged: none of {len(parity.stages)} rows has a verdict",
            hint="the model has no outputs, or no inputs to compare them on",
        )
    row = parity.first_divergence
    if row is None:
        _gate_metrics(parity)
        _gate_labels(parity, accepted, remedies)
        return
    if row.max_error is None or row.bound is None:
        numbers = "its output is missing, not finite or of another shape"
    else:
        sqnr = "no SQNR" if row.sqnr_db is None else f"SQNR {row.sqnr_db:.1f} dB"
        numbers = f"error {row.max_error:.3g}, at most {row.bound:.3g} allowed, {sqnr}"
    runtime = row.engine.partition("+")[0]
    in_format = f" in the {formats[runtime]} file" if formats and runtime in formats else ""
    where = f"'{row.stage}'" + (f" ({row.part})" if row.part else "")
    failed = sum(other.verdict == "fail" for other in parity.stages)
    raise ValidationError(
        f"{row.engine} differs from PyTorch at stage {where} on '{row.case}'{in_format}: "
        f"{numbers} ({failed} of {len(parity.stages)} rows fail){_labels(parity, runtime)}",
        hint=(PARTS if row.part else "") + (STAGE if row.policy in OF_FLOATS else remedies),
    )


def _gate_labels(parity: Parity, accepted: float | None, remedies: str) -> None:
    for own in parity.agreements:
        if own.difference is None:
            continue
        loss = metric_bound(own.difference.want, own.count) if accepted is None else accepted
        if own.lost(loss):
            raise ValidationError(
                f"{own.engine} is clearly worse than PyTorch, by more than {100 * loss:.3g} "
                f"points: {own.text} (95%)",
                hint=remedies,
            )


def _labels(parity: Parity, engine: str) -> str:
    """What became of the labels meanwhile."""
    return "".join(f"; {own.text}" for own in parity.agreements if own.engine == engine)


def _gate_metrics(parity: Parity) -> None:
    for metric in parity.metrics:
        if not metric.holds:
            want = parity.metrics[0].value
            allowed = "" if metric.bound is None else f", at most {metric.bound:.3g} allowed"
            raise ValidationError(
                f"{metric.engine}: {metric.name} is {metric.value:.6g} on {metric.samples} "
                f"samples, {want:.6g} in PyTorch: worse by {metric.worse_by(want):.3g}{allowed}",
                hint="every stage agrees: some input of the data is out of the cases' range; or "
                "allow more with `metric_tolerance`",
            )


def cases(
    signature: Signature, seed: int, sample: Arrays | None = None
) -> dict[str, dict[str, Array]]:
    """Named inputs with teeth, for every input of ``signature``, states too.

    Floats: ``random`` (normal, 0.25 of full scale), ``silence``, ``tiny`` (the same at
    1e-5), ``full-scale`` (random signs) and ``impulse`` (one 1 in the middle of the last
    axis). Integers stay within the range that ``sample`` shows, its ends included: an
    index has an end that nothing else tells. What is nearest to 0 in it stands for silence,
    its ends for the signs of ``full-scale``, its highest for an impulse. Without ``sample``,
    and for flags, they are 0 or 1, which every index allows.
    """
    generator = np.random.default_rng(seed)
    return {
        case: {
            spec.name: _fill(case, spec, generator, _seen(spec, sample or {}))
            for spec in signature.inputs
        }
        for case in _CASES
    }


def _seen(spec: TensorSpec, sample: Arrays) -> tuple[int, int]:
    """Lowest and highest integer that an input is known to take."""
    if spec.dtype == "bool" or spec.name not in sample or not sample[spec.name].size:
        return 0, 1
    return int(sample[spec.name].min()), int(sample[spec.name].max())


_Make = Callable[[TensorSpec, np.random.Generator], Array]


def _fill(
    case: str, spec: TensorSpec, generator: np.random.Generator, seen: tuple[int, int]
) -> Array:
    values = _CASES[case](spec, generator)
    if spec.dtype.startswith("float"):
        return values.astype(spec.dtype)
    if case in _SPREAD and spec.dtype != "bool":
        return generator.integers(*seen, spec.shape, np.dtype(spec.dtype), endpoint=True)
    low = seen[0] if case == "full-scale" else min(max(0, seen[0]), seen[1])
    return np.where(values > 0, seen[1], low).astype(spec.dtype)


def _random(spec: TensorSpec, generator: np.random.Generator) -> Array:
    return 0.25 * generator.standard_normal(spec.shape)


def _silence(spec: TensorSpec, _generator: np.random.Generator) -> Array:
    return np.zeros(spec.shape)


def _tiny(spec: TensorSpec, generator: np.random.Generator) -> Array:
    return TINY * generator.standard_normal(spec.shape)


def _full_scale(spec: TensorSpec, generator: np.random.Generator) -> Array:
    return np.where(generator.standard_normal(spec.shape) < 0, -1.0, 1.0)


def _impulse(spec: TensorSpec, _generator: np.random.Generator) -> Array:
    values = np.zeros(spec.shape)
    if spec.shape:
        values[..., spec.shape[-1] // 2] = 1.0
    return values


_CASES: dict[str, _Make] = {
    "random": _random,
    "silence": _silence,
    "tiny": _tiny,
    "full-scale": _full_scale,
    "impulse": _impulse,
}
# A sample with its values in another order: within its range, but nothing that was ever seen.
SHUFFLED = "shuffled"
GENERATED = (*_CASES, SHUFFLED)
_SPREAD = ("random", "tiny")  # integers of these take every value between the ends
