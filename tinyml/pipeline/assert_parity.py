"""Does a bundle or a model file answer as a reference does? An assertion for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyml import bundle as bundles
from tinyml.bundle import Bundle, StageParity
from tinyml.errors import InputError
from tinyml.export import parity
from tinyml.pipeline.engines import OPTIMISED, Engine, installed, meet, runtime_of
from tinyml.spec import Array, Arrays, Signature
from tinyml.tolerance import POLICIES, PolicyName

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
    policy     of `tinyml.tolerance`; without one, that of each file's precision

    Returns the rows compared. Raises `AssertionError` naming engine, stage, case, error
    and bound; `MissingExtraError` without a runtime.
    """
    engines, signature, stages = _opened(shipped)
    layout = "nhwc" if any("channels" in spec.axes[-1:] for spec in signature.inputs) else "nchw"
    rows: list[StageParity] = []
    for case, given in _cases(inputs).items():
        signature.check_inputs(given)
        inside, outputs = _wanted(reference, given, signature, stages, layout)
        for engine in engines:
            got = engine.stages(given) if inside else {}
            chosen = policy or engine.policy
            rows += parity.compare(engine.name, case, inside, got, list(inside), chosen)
            answered = engine.runtime.open(engine.path).run(given)
            optimised = OPTIMISED[engine.name]
            rows += parity.compare(optimised, case, outputs, answered, list(outputs), chosen)
    failed = [row for row in rows if row.verdict == "fail"]
    if failed:
        raise AssertionError(_text(failed, len(rows)))
    return tuple(rows)


def _opened(shipped: Bundle | Path | str) -> tuple[list[Engine], Signature, tuple[str, ...]]:
    if not isinstance(shipped, Bundle):
        path = Path(shipped)
        if path.is_file():
            return _file(path)
        shipped = bundles.read(path)
    shipped.check_files()
    engines, _ = installed(shipped.folder, shipped.models)
    for engine in engines:
        meet(engine.runtime, engine.path, inside=True)
    return engines, shipped.signature, shipped.stages


def _file(path: Path) -> tuple[list[Engine], Signature, tuple[str, ...]]:
    """A file alone has no map of stages: its outputs are what is compared."""
    runtime = runtime_of(path)
    meet(runtime, path)
    suffix = path.suffix.removeprefix(".")
    model = bundles.ModelFile(path.name, "", suffix, "fp32", {}, {}, {}, "")
    return [Engine(model, path, runtime)], runtime.open(path).signature, ()


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
        from tinyml.export.stage_values import eager_values

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


def _text(failed: list[StageParity], total: int) -> str:
    first = failed[0]
    policy = first.policy
    lines = [
        f"{first.engine} differs from the reference at stage '{first.stage}' on '{first.case}' "
        f"({len(failed)} of {total} rows fail; {policy}: {POLICIES[policy].because})"
    ]
    lines += [f"  {line}" for line in _lines(failed[:SHOWN])]
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
