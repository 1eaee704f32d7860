"""``tinyml eval``: labels and metrics of a data set through PyTorch or a bundle's runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyml.cli.device_option import OneDevice, one_device
from tinyml.cli.terminal import AsJson, metric_lines, progress, put, put_json, put_table
from tinyml.core.typed_json import to_json

if TYPE_CHECKING:
    from tinyml.core.device import Device
    from tinyml.pipeline.evaluate_on_device import ComparedHere


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
    device: OneDevice = "",
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on its data set: recordings by subject, or images.

    Recordings get weighted accuracy, UAR and AUC, never plain accuracy alone. Images get
    accuracy with its 95% interval, and recall by class.

    With --device the network runs on a board, and predictions that differ from this machine's are
    listed. After Ctrl-C or a lost connection, run the same command again to continue.

    Examples:

    \b
      tinyml eval demo-bundle
      tinyml eval demo-bundle --device mypi
    """
    from tinyml.core.device import THIS_MACHINE
    from tinyml.pipeline.evaluate import evaluate

    chosen = one_device(device)
    if chosen != THIS_MACHINE:
        _on_device(what, chosen, part, data, runtime, as_json)
        return
    with progress(as_json=False) as report:
        result = evaluate(what, part=part, data=data, runtime=runtime, report=report)
    if as_json:
        put_json(to_json(result))
        return
    put(metric_lines(to_json(result.metrics)))


def _on_device(
    what: Path, device: Device, part: str, data: Path | None, runtime: str | None, as_json: bool
) -> None:
    from tinyml.pipeline.evaluate_on_device import evaluate_on_device

    with progress(as_json=False) as report:
        result = evaluate_on_device(
            what, device, part=part, data=data, runtime=runtime, report=report
        )
    if as_json:
        put_json(to_json(result))
        return
    label = ", emulated" if result.label == "emulated" else ""
    put(f"{result.device}{label}: {result.file} in {result.engine}")
    put(metric_lines(to_json(result.metrics)))
    if result.compared is not None:
        _put_compared(result.compared, result.device)


def _put_compared(compared: ComparedHere, device: str) -> None:
    from tinyml.pages.tables import paragraph

    same = compared.cases - len(compared.changed)
    text = (
        f"{same:,} of {compared.cases:,} predictions are those of {compared.engine} on this "
        "machine; probabilities differ by at most "
    )
    put(paragraph("", f"{text}{compared.largest_probability_error:.2e}"))
    if compared.changed:
        head = ("case", "this machine", device, "margin")
        rows = [(own.case, own.here, own.there, f"{own.margin:.4f}") for own in compared.changed]
        put_table(head, rows, indent=2)
