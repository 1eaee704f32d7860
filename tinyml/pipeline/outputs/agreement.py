"""Label agreement: how many predictions of an engine are PyTorch's, on data that judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tinyml.core.bundle import Agreement, Disagreement
from tinyml.core.events import Progress, Report
from tinyml.core.finite import check_outputs
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.paired_difference import Difference, Metric, paired_difference
from tinyml.core.processor import Floats, Processor
from tinyml.models.training.metrics import average_recall, share_right
from tinyml.pipeline.outputs.engines import Engine
from tinyml.pipeline.outputs.evaluation_set import EvaluationSet


def agreement(
    evaluation_set: EvaluationSet, engine: Engine, reference: Path, report: Report
) -> Agreement:
    """Every subject's or image's label: PyTorch's in ``reference`` against ``engine``'s.

    Raises `ValidationError` where an output of ``engine`` is not finite.
    """
    wanted = np.load(reference)
    got = np.concatenate(list(_outputs(evaluation_set, engine, report)))
    processor = evaluation_set.processor
    want_units, got_units = map(evaluation_set.of_unit, (wanted, got))
    wants, gots = (labels_of(processor, own) for own in (want_units, got_units))
    moved = disagreements(processor, want_units, wants, gots)
    metric, measure = metric_of(processor)
    return Agreement(
        engine=engine.name,
        unit=evaluation_set.unit,
        count=len(wants),
        agreeing=len(wants) - len(moved),
        largest_probability_error=float(np.max(np.abs(wanted - got))),
        disagreements=moved,
        metric=metric,
        difference=_difference(evaluation_set, measure, wants, gots),
    )


def disagreements(
    processor: Processor,
    wanted: Mapping[str, Floats],
    wants: Mapping[str, int],
    gots: Mapping[str, int],
) -> tuple[Disagreement, ...]:
    """The cases whose labels differ; ``wants`` are those of the outputs ``wanted``."""
    return tuple(
        Disagreement(
            name=name,
            want=processor.labels[want],
            got=processor.labels[gots[name]],
            margin=processor.margin(wanted[name]),
        )
        for name, want in wants.items()
        if want != gots[name]
    )


def labels_of(processor: Processor, outputs: Mapping[str, Floats]) -> dict[str, int]:
    """Case -> its label's number."""
    return {name: processor.postprocess(own) for name, own in outputs.items()}


def metric_of(processor: Processor) -> tuple[str, Metric]:
    """What labels are judged by: of images accuracy, of subjects UAR, and how it is computed."""
    return (
        ("accuracy", share_right)
        if isinstance(processor, ImageProcessor)
        else ("UAR", average_recall)
    )


def _difference(
    evaluation_set: EvaluationSet, metric: Metric, wants: Mapping[str, int], gots: Mapping[str, int]
) -> Difference:
    rows = [(evaluation_set.truths[name], want, gots[name]) for name, want in wants.items()]
    truths, before, after = np.array(rows).T
    return paired_difference(metric, truths, before, after, len(evaluation_set.processor.labels))


def _outputs(evaluation_set: EvaluationSet, engine: Engine, report: Report) -> Iterator[Floats]:
    session = engine.open()
    name, output = session.signature.inputs[0].name, session.signature.outputs[0].name
    total = len(evaluation_set)
    for at in range(total):
        found = session.run({name: evaluation_set.inputs(at, at + 1)})[output]
        check_outputs(f"{engine.name} on input {at} of the {evaluation_set.unit}", {output: found})
        yield found
        report(Progress(f"labels with {engine.name}", at + 1, total))
