"""``tinyml export``: a checkpoint in, a checked bundle out."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from tinyml.cli.report_option import ReportFile, check_report_option, write_report
from tinyml.cli.settings import chosen, parameters, switched_off
from tinyml.cli.terminal import AsJson, progress, put, put_json, put_table, say
from tinyml.core.bundle import RUN, Bundle
from tinyml.core.export_job import ExportJob, export_job
from tinyml.core.export_settings import ExportSettings
from tinyml.core.target import all_targets


def command(model: str, **options: Any) -> None:
    """Convert a model, check it against PyTorch and write a bundle.

    Every stage of the shipped files is compared with PyTorch on their runtimes. Out of
    tolerance is exit 5 with the first stage that diverges, and no bundle.

    Options override [export] of the recipe, which is the checkpoint's or that of --recipe.

    \b
    --no-NAME switches off what the recipe sets, for example --no-equalize.

    Examples:

    \b
      tinyml export runs/demo --target rpi --out demo-bundle
      tinyml export runs/demo --target host --formats tflite --out here --force
      tinyml export runs/demo --target rpi --precision fp16 --out half
      tinyml export runs/demo --target rpi --precision w8a8-static --ranges mse \\
        --out int8
      tinyml export net.py:build --weights w.safetensors --sample s.npz \\
        --target rpi --out mine
    """
    from tinyml.pipeline.export import export

    given = {**chosen(ExportJob, options), **chosen(ExportSettings, options)}
    job = export_job(model, unset=switched_off(ExportSettings, options), **given)
    check_report_option(options["report_file"], job.out)
    with progress(as_json=False) as report:
        bundle = export(job, report)
    if options["as_json"]:
        put_json({**bundle.manifest(), "digest": bundle.digest})
    else:
        _show(bundle, job.out)
    write_report(options["report_file"], job.out)


def _signature() -> inspect.Signature:
    """The model, the options of a call and the settings, ``--report`` and ``--json``."""
    argument = typer.Argument(
        help="A checkpoint or run folder; your own PATH.py:FACTORY or package.module:FACTORY; "
        "or a model's name, with --weights."
    )
    keyword = inspect.Parameter.KEYWORD_ONLY
    model = inspect.Parameter("model", keyword, annotation=Annotated[str, argument])
    as_json = inspect.Parameter("as_json", keyword, default=False, annotation=AsJson)
    report_file = inspect.Parameter("report_file", keyword, default=None, annotation=ReportFile)
    options = parameters(ExportJob, ExportSettings, can_be_off=[ExportSettings])
    return inspect.Signature([model, *options, report_file, as_json])


command.__signature__ = _signature()  # type: ignore[attr-defined]


def _show(bundle: Bundle, out: Path) -> None:
    from tinyml.pages.summary import parity_table, sensitivity_rows

    put(parity_table(bundle.parity))
    if bundle.facts.sensitivity:
        put_table(*sensitivity_rows(bundle.facts.sensitivity))
    for agreement in bundle.parity.agreements:
        put(f"{agreement.engine}: {agreement.text}")
        for moved in agreement.disagreements:
            put(f"  {moved.name}: {moved.want} became {moved.got}, margin {moved.margin:.4f}")
    for metric in bundle.parity.metrics:
        put(f"{metric.engine}: {metric.name} {metric.value:.6g} on {metric.samples} samples")
    if bundle.parity.metrics and (better := bundle.parity.metrics[0].direction):
        put(f"{bundle.parity.metrics[0].name}: {better} is better")
    for model in bundle.models:
        for line in filter(None, (model.mixed, model.note, model.instrumented_note)):
            say(f"{model.path}: {line}")
    for what, why in bundle.facts.not_judged.items():
        say(f"not judged: {what}: {why}")
    if bundle.parity.accuracy_note:
        say(bundle.parity.accuracy_note)
    if graphs := bundle.facts.graphs:
        put(f"streaming graphs, parity holds: {', '.join(graphs)}")
    put(f"digest: {bundle.digest}")
    say(f"written: {out}")
    say(f"next: tinyml verify {out}")
    say(f"      tinyml bench {out}")
    known = all_targets().get(bundle.target)
    if known is None or not known.is_host:
        say(f"      tinyml bench {out} --device NAME (tinyml device add NAME ADDRESS)")
    if RUN in bundle.files:
        say(f"      copy {out} to the board and run its {RUN}")
