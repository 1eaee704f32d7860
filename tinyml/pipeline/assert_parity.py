"""Does a bundle or a model file match a reference? An assertion for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyml.core import bundle as bundles
from tinyml.core.bundle import REFERENCE, Bundle, Parity, StageParity
from tinyml.core.errors import InputError
from tinyml.core.parts import OUTPUT, STAGE, Joined, Key
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.core.tolerance import POLICIES, PolicyName
from tinyml.export import parity
from tinyml.pages.summary import parity_table
from tinyml.pipeline.cross_check import check_bundle
from tinyml.pipeline.formats import format_of
from tinyml.pipeline.outputs import reference as references
from tinyml.pipeline.outputs.engines import Engine, installed, runtime_of
from tinyml.pipeline.outputs.reference import Reference
from tinyml.testing import ParityError

if TYPE_CHECKING:
    from torch import nn

SHOWN = 5
Outputs = Mapping[str, Any]


def assert_parity(
    shipped: Bundle | Path | str,
    reference: nn.Module | Outputs | Callable[..., Any],
    inputs: Mapping[str, Any],
    policy: PolicyName | None = None,
) -> tuple[StageParity, ...]:
    """Assert that every installed engine of ``shipped`` answers ``inputs`` as ``reference``.

    shipped    a bundle, its folder, or one ``.onnx`` or ``.tflite`` file
    reference  the module: compared at every stage of a bundle, and at its outputs; or the
               outputs by name; or a function of the inputs that returns them
    inputs     arrays or tensors by name; or cases of them, by the case's name
    policy     of `tinyml.core.tolerance`; without one, that of each file's precision

    Returns the rows compared. Raises `tinyml.testing.ParityError`, an `AssertionError`, naming
    engine, stage, case, error and bound, and the worst value of the first; `MissingExtraError`
    without a runtime; `InputError` where there is nothing to compare.
    """
    __tracebackhide__ = True
    engines, signature, stages, joined = _opened(shipped)
    layout = "nhwc" if any("channels" in spec.axes[-1:] for spec in signature.inputs) else "nchw"
    expected = Reference({}, {}, {}, joined)
    for case, given in _cases(inputs).items():
        signature.check_inputs(given)
        inside, outputs = _wanted(reference, given, signature, stages, layout)
        expected = expected.with_case(case, given, inside, outputs)
    rows: list[StageParity] = []
    diffs: list[str] = []
    fits = all(_fits(named, signature) for named in expected.outputs.values())
    parts = expected.parts(STAGE) if fits else {}
    output_parts = expected.parts(OUTPUT) if fits else {}
    for case in expected.inputs:
        given, inside = dict(expected.inputs[case]), dict(expected.stages[case])
        outputs = dict(expected.outputs[case])
        for engine in engines:
            got = engine.stages(given) if inside else {}
            chosen = policy or engine.policy
            mine = parity.compare(engine.name, case, inside, got, list(inside), chosen, None, parts)
            diffs += _diffs(mine, inside, got)
            answered = engine.open().run(given)
            optimised = engine.optimised
            whole = parity.compare(
                optimised, case, outputs, answered, list(outputs), chosen, None, output_parts
            )
            diffs += _diffs(whole, outputs, answered)
            rows += [*mine, *whole]
    if not rows:
        raise InputError("no inputs are given: nothing can be compared")
    failed = [row for row in rows if row.verdict == "fail"]
    if failed:
        table = parity_table(Parity(tuple(rows)))
        raise ParityError(_text(failed, len(rows), diffs), table)
    return tuple(rows)


_Opened = tuple[list[Engine], Signature, tuple[str, ...], Mapping[Key, tuple[Joined, ...]]]


def _fits(outputs: Mapping[str, Array], signature: Signature) -> bool:
    """Whether the reference has the shapes of the model: else `parity.compare` says so."""
    shapes = {spec.name: spec.shape for spec in signature.outputs}
    return all(value.shape == shapes.get(name) for name, value in outputs.items())


def _opened(shipped: Bundle | Path | str) -> _Opened:
    """Engines, signature and stages, and which of them join several parts."""
    if not isinstance(shipped, Bundle):
        path = Path(shipped)
        if path.is_file():
            return _file(path)
        shipped = bundles.read(path)
    check_bundle(shipped)
    engines, _ = installed(shipped.folder, shipped.models)
    joined = references.load(shipped.folder / REFERENCE).joined
    return engines, shipped.signature, shipped.stages, joined


def _file(path: Path) -> _Opened:
    """A file alone has no map of stages: its outputs are what is compared."""
    runtime = runtime_of(path)
    model = bundles.ModelFile(path.name, "", format_of(path).name, "fp32", {}, {}, {}, "")
    return [Engine(model, path, runtime)], runtime.open(path).signature, (), {}


def _cases(inputs: Mapping[str, Any]) -> dict[str, dict[str, Array]]:
    cases = inputs if all(isinstance(v, Mapping) for v in inputs.values()) else {"inputs": inputs}
    return {
        case: {name: np.asarray(_array(value), order="C") for name, value in given.items()}
        for case, given in cases.items()
    }


def _array(value: Any) -> Array:
    detached = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(detached)


def _wanted(
    reference: Any, given: Arrays, signature: Signature, stages: tuple[str, ...], layout: str
) -> tuple[dict[str, Array], dict[str, Array]]:
    """(stage -> array, output -> array) of the reference."""
    if hasattr(reference, "named_modules"):
        from tinyml.export.adapt import adapted
        from tinyml.export.capture.stage_values import eager_values

        with adapted(reference, list(given), layout):
            return eager_values(reference, given, signature, stages)
    returned = reference if isinstance(reference, Mapping) else reference(**given)
    names = [spec.name for spec in signature.outputs]
    if not isinstance(returned, Mapping):
        several = returned if isinstance(returned, tuple | list) else (returned,)
        returned = dict(zip(names, several, strict=False))
    if set(returned) != set(names):
        raise InputError(f"the reference gives {sorted(returned)}, the model {names}")
    return {}, {name: _array(returned[name]) for name in names}


def _diffs(
    rows: Sequence[StageParity], want: Arrays, got: Mapping[str, Array | None]
) -> Iterator[str]:
    """For each failed row, the value that is farthest off."""
    for row in rows:
        if row.verdict == "fail":
            yield _diff(want[row.stage], got.get(row.stage))


def _diff(want: Array, got: Array | None) -> str:
    if got is None:
        return "no output"
    if got.shape != want.shape:
        return f"shape {list(got.shape)}, wanted {list(want.shape)}"
    error = np.abs(got.astype(np.float64) - want.astype(np.float64))
    worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), want.shape)
    place = ", ".join(str(int(index)) for index in worst)
    return f"farthest off at [{place}]: {got[worst]:.6g}, wanted {want[worst]:.6g}"


def _text(failed: list[StageParity], total: int, diffs: list[str]) -> str:
    first = failed[0]
    policy = first.policy
    lines = [
        f"{first.engine} differs from the reference at stage '{first.stage}' on '{first.case}' "
        f"({len(failed)} of {total} rows fail; {policy}: {POLICIES[policy].because})"
    ]
    shown = zip(_lines(failed[:SHOWN]), diffs, strict=False)
    lines += [f"  {line}; {diff}" for line, diff in shown]
    if len(failed) > SHOWN:
        lines.append(f"  and {len(failed) - SHOWN} more")
    return "\n".join(lines)


def _lines(rows: list[StageParity]) -> Iterator[str]:
    for row in rows:
        where = f"{row.engine}, stage '{row.stage}', case '{row.case}'"
        if row.max_error is None or row.bound is None:
            yield f"{where}: missing, not finite, or of another shape"
        else:
            yield f"{where}: error {row.max_error:.3g}, bound {row.bound:.3g}"
