"""``tinyml eval``: labels and metrics of a data set through PyTorch or a bundle's runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.terminal import metric_lines, progress, put, put_json
from tinyml.core.typed_json import to_json


def command(
    what: Annotated[Path, typer.Argument(help="A checkpoint, a run's folder, or a bundle.")],
    part: Annotated[
        str, typer.Option(help="validation (the validation subjects, or the test images) or all.")
    ] = "validation",
    data: Annotated[
        Path | None, typer.Option(help="The data set's folder; default: below TINYML_DATA.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="For a bundle: litert (default), onnxruntime or openvino.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate a model on its data set: recordings by subject, or images.

    Recordings get weighted accuracy, UAR and AUC, never plain accuracy alone. Images get
    accuracy with its 95% interval, and recall by class.

    Example: tinyml eval demo-bundle
    """
    from tinyml.pipeline.evaluate import evaluate

    with progress(as_json=False) as report:
        result = evaluate(what, part=part, data=data, runtime=runtime, report=report)
    if as_json:
        put_json(to_json(result))
        return
    put(metric_lines(to_json(result.metrics)))
