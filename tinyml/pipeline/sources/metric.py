"""The user's own metric, of PyTorch's predictions and of every engine's.

``python -m tinyml.pipeline.sources.metric FOLDER`` is the child that runs a function of the
user's: it reads ``metric.json`` and writes ``measured.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.bundle import Metric
from tinyml.errors import InputError, machine_errors
from tinyml.files import write_json
from tinyml.pipeline.answers.engines import OPTIMISED, Engine
from tinyml.pipeline.sources.arrays import TARGETS, check_data, rows_of
from tinyml.pipeline.sources.source import Report, RunChild
from tinyml.pipeline.sources.user_code import explained, load_code, place
from tinyml.spec import Array, Arrays, Signature
from tinyml.tolerance import metric_bound

JOB = "metric.json"
MEASURED = "measured.json"
PREDICTIONS = "predictions.npz"
PYTORCH = "pytorch"
Predictions = Array | dict[str, Array]
Function = Callable[[Predictions, Array], float]
Ask = Callable[[Arrays], Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Measuring:
    """A metric, ``PATH.py:NAME``, ``package.module:NAME`` or the function, and its data."""

    function: str | Function
    data: Arrays

    @property
    def name(self) -> str:
        """The function's name alone: no path belongs into a bundle."""
        if isinstance(self.function, str):
            return self.function.rpartition(":")[2]
        return getattr(self.function, "__name__", type(self.function).__name__)


def predictions(signature: Signature, data: Arrays, ask: Ask) -> dict[str, Array]:
    """Every output over all samples of ``data``, states left out: [samples, ...].

    A first size of 1, the batch, gives way to the samples.
    """
    states = {pair.output for pair in signature.states}
    specs = [spec for spec in signature.outputs if spec.name not in states]
    answers: dict[str, list[Array]] = {spec.name: [] for spec in specs}
    for index in range(check_data(signature, data)):
        answered = ask(rows_of(signature, data, index))
        for spec in specs:
            value = answered[spec.name]
            answers[spec.name].append(value[0] if spec.shape[:1] == (1,) else value)
    return {name: np.stack(values) for name, values in answers.items()}


def measure(
    measuring: Measuring,
    signature: Signature,
    engines: Sequence[Engine],
    work: Path,
    run: RunChild,
    report: Report,
) -> tuple[Metric, ...]:
    """The metric of PyTorch (whose answers lie in ``work``) and of each engine, optimised.

    Raises `InputError` or `ExportError` when the function fails or returns no number.
    """
    with np.load(work / PREDICTIONS, allow_pickle=False) as loaded:
        answers = {PYTORCH: dict(loaded)}
    count = len(measuring.data[TARGETS])
    for done, engine in enumerate(engines, 1):
        session = engine.open()
        answers[OPTIMISED[engine.name]] = predictions(signature, measuring.data, session.run)
        report(
            {"title": f"{measuring.name} on {count} samples", "done": done, "total": len(engines)}
        )
    if isinstance(measuring.function, str):
        values = _in_child(measuring.function, answers, measuring.data[TARGETS], work, run)
    else:
        function, targets = measuring.function, measuring.data[TARGETS]
        values = {name: value(function, given, targets) for name, given in answers.items()}
    bound = metric_bound(values[PYTORCH], count)
    return tuple(
        Metric(engine, measuring.name, number, count, abs(number - values[PYTORCH]) <= bound)
        for engine, number in values.items()
    )


def _in_child(
    function: str,
    answers: Mapping[str, Mapping[str, Array]],
    targets: Array,
    work: Path,
    run: RunChild,
) -> dict[str, float]:
    with machine_errors("writing the predictions"):
        for place_, given in enumerate(answers.values()):
            np.savez(work / f"answers-{place_}.npz", **given)  # type: ignore[arg-type]
        np.savez(work / "targets.npz", targets=targets)
    write_json(work / JOB, {"function": function, "engines": list(answers)})
    run("tinyml.pipeline.sources.metric", [str(work)])
    if not (work / MEASURED).is_file():
        raise InputError(f"{function} ended its process: it must return a number")
    measured: dict[str, float] = json.loads((work / MEASURED).read_text(encoding="utf-8"))
    return measured


def value(function: Function, given: Mapping[str, Array], targets: Array) -> float:
    """``function`` of one engine's predictions: an array, or a dict where there are several."""
    alone = next(iter(given.values())) if len(given) == 1 else dict(given)
    answer: Any = function(alone, targets)
    try:
        number = float(answer)
    except (TypeError, ValueError):
        raise InputError(
            f"{place(function)}the metric returns a {type(answer).__name__}, no number"
        ) from None
    if not np.isfinite(number):
        raise InputError(f"{place(function)}the metric is {number}")
    return number


def main(arguments: list[str]) -> None:
    """Measure what the job in the folder asks for."""
    work = Path(arguments[0])
    job = json.loads((work / JOB).read_text(encoding="utf-8"))
    function = load_code(job["function"])
    with np.load(work / "targets.npz", allow_pickle=False) as loaded:
        targets = loaded[TARGETS]
    found = {}
    for index, engine in enumerate(job["engines"]):
        with np.load(work / f"answers-{index}.npz", allow_pickle=False) as loaded:
            given = dict(loaded)
        with explained(f"measuring {job['function'].rpartition(':')[2]}"):
            found[engine] = value(function, given, targets.copy())
    write_json(work / MEASURED, found)


if __name__ == "__main__":
    main(sys.argv[1:])
