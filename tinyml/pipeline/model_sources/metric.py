"""The user's own metric, of PyTorch's predictions and of every engine's.

``python -m tinyml.pipeline.model_sources.metric FOLDER`` is the child that runs a function of the
user's; FOLDER is a `Workspace`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tinyml.core.arrays import TARGETS, check_data, rows_of
from tinyml.core.bundle import Metric
from tinyml.core.errors import InputError, TinymlError, ValidationError, machine_errors
from tinyml.core.events import Progress, Report
from tinyml.core.finite import check_outputs, is_finite
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.core.tolerance import metric_bound
from tinyml.pipeline.model_sources.metric_kind import (
    check_direction,
    check_kind,
    direction_of,
    is_share,
)
from tinyml.pipeline.model_sources.source import RunChild
from tinyml.pipeline.model_sources.user_code import explained, load_code, place
from tinyml.pipeline.model_sources.workspace import MetricJob, Workspace
from tinyml.pipeline.outputs.engines import Engine

PYTORCH = "pytorch"
Predictions = Array | dict[str, Array]
Function = Callable[[Predictions, Array], float]
Ask = Callable[[Arrays], Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Measuring:
    """A metric, ``PATH.py:NAME``, ``package.module:NAME`` or the function, and its data.

    direction  ``higher`` or ``lower``: which is better; None: the name says it, or it is a share
               of samples, whose every change is a loss
    tolerance  how much worse than PyTorch's it may be; None: `tinyml.core.tolerance.metric_bound`

    Raises `UsageError` for a metric that sounds like a loss and has no direction.
    """

    function: str | Function
    data: Arrays
    direction: str | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_direction(self.name, self.direction)

    @property
    def better(self) -> str | None:
        """``direction``, or what the function's name says."""
        return direction_of(self.name, self.direction)

    @property
    def name(self) -> str:
        """The function's name alone: no path belongs into a bundle."""
        if isinstance(self.function, str):
            return self.function.rpartition(":")[2]
        return getattr(self.function, "__name__", type(self.function).__name__)


def predictions(
    signature: Signature, data: Arrays, ask: Ask, who: str = PYTORCH
) -> dict[str, Array]:
    """Every output of ``who`` over all samples of ``data``, states left out: [samples, ...].

    A first size of 1, the batch, gives way to the samples. Raises `ValidationError` for an
    output that is not finite.
    """
    states = {pair.output for pair in signature.states}
    specs = [spec for spec in signature.outputs if spec.name not in states]
    answers: dict[str, list[Array]] = {spec.name: [] for spec in specs}
    for index in range(check_data(signature, data)):
        answered = ask(rows_of(signature, data, index))
        for spec in specs:
            value = answered[spec.name]
            check_outputs(f"{who} on sample {index} of the data", {spec.name: value})
            answers[spec.name].append(value[0] if spec.shape[:1] == (1,) else value)
    return {name: np.stack(values) for name, values in answers.items()}


def check_pytorch(measuring: Measuring, work: Workspace, run: RunChild) -> None:
    """Before anything is converted: `InputError` for a metric whose kind is not known.

    PyTorch's answers lie in ``work``. Raises as `measure` where the function fails.
    """
    found = _values(measuring, {PYTORCH: work.load_predictions()}, work, run)
    count = len(measuring.data[TARGETS])
    check_kind(measuring.name, found[PYTORCH], count, measuring.better)


def measure(
    measuring: Measuring,
    signature: Signature,
    engines: Sequence[Engine],
    work: Workspace,
    run: RunChild,
    report: Report,
) -> tuple[Metric, ...]:
    """The metric of PyTorch (whose answers lie in ``work``) and of each engine, optimised.

    Raises `InputError` or `ExportError` when the function fails or returns no number,
    `ValidationError` for an engine whose outputs or metric are not finite.
    """
    answers = {PYTORCH: work.load_predictions()}
    count = len(measuring.data[TARGETS])
    for done, engine in enumerate(engines, 1):
        session = engine.open()
        name = engine.optimised
        answers[name] = predictions(signature, measuring.data, session.run, name)
        report(Progress(f"{measuring.name} on {count} samples", done, len(engines)))
    return judged(measuring, _values(measuring, answers, work, run), count)


def judged(measuring: Measuring, values: Mapping[str, float], samples: int) -> tuple[Metric, ...]:
    """A row for each engine in ``values``, PyTorch's among them, against PyTorch's."""
    for number in values.values():
        check_kind(measuring.name, number, samples, measuring.better)
    want, whole = values[PYTORCH], is_share(values.values(), samples)
    kind: Literal["share", "relative", "given"] = "share" if whole else "relative"
    bound = metric_bound(want, samples, is_share=whole)
    if measuring.tolerance is not None:
        kind, bound = "given", measuring.tolerance
    rows = []
    for engine, number in values.items():
        row = Metric(
            engine,
            measuring.name,
            number,
            samples,
            direction=measuring.better or "",
            kind=kind,
            bound=bound,
        )
        worse = row.worse_by(want)
        rows.append(replace(row, holds=worse <= bound or math.isclose(worse, bound)))
    return tuple(rows)


def _values(
    measuring: Measuring, answers: Mapping[str, Mapping[str, Array]], work: Workspace, run: RunChild
) -> dict[str, float]:
    """Engine -> the metric of its answers; a function of another file runs in a child."""
    function, targets = measuring.function, measuring.data[TARGETS]
    if isinstance(function, str):
        return _in_child(function, answers, targets, work, run)
    return {name: value(function, given, targets, name) for name, given in answers.items()}


def _in_child(
    function: str,
    answers: Mapping[str, Mapping[str, Array]],
    targets: Array,
    work: Workspace,
    run: RunChild,
) -> dict[str, float]:
    with machine_errors("writing the predictions"):
        work.save_metric_job(MetricJob(function, tuple(answers)), answers, targets)
    run("tinyml.pipeline.model_sources.metric", [str(work.folder)])
    if not work.measured.is_file():
        raise InputError(f"{function} ended its process: it must return a number")
    return work.load_measured()


def value(
    function: Function, given: Mapping[str, Array], targets: Array, engine: str = PYTORCH
) -> float:
    """``function`` of one engine's predictions: an array, or a dict where there are several.

    Where it is not finite, PyTorch's is an `InputError`, another engine's a `ValidationError`.
    """
    alone = next(iter(given.values())) if len(given) == 1 else dict(given)
    answer: Any = function(alone, targets)
    try:
        number = float(answer)
    except (TypeError, ValueError):
        raise InputError(
            f"{place(function)}the metric returns a {type(answer).__name__}, not a number"
        ) from None
    if not is_finite(number):
        error: type[TinymlError] = InputError if engine == PYTORCH else ValidationError
        raise error(f"{place(function)}the metric of {engine} is {number}")
    return number


def main(arguments: list[str]) -> None:
    """Measure what the job in the folder asks for."""
    work = Workspace(Path(arguments[0]))
    job, predicted, targets = work.load_metric_job()
    function = load_code(job.function)
    found = {}
    for engine, given in predicted.items():
        with explained(f"measuring {job.function.rpartition(':')[2]}"):
            found[engine] = value(function, given, targets.copy(), engine)
    work.save_measured(found)


if __name__ == "__main__":
    main(sys.argv[1:])
