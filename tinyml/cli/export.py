"""``tinyml export``: a checkpoint in, a checked bundle out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.terminal import progress, put, put_json, put_table, say
from tinyml.core.bundle import RUN, Bundle


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="A checkpoint or run folder; your own PATH.py:FACTORY or package.module:FACTORY; "
            "or a model's name, with --weights."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.")],
    target: Annotated[
        str, typer.Option(help="rpi (= rpi4), rpi5, rpi-zero2w, android, xnnpack (= host).")
    ],
    formats: Annotated[
        str | None, typer.Option(help="Comma-separated; default: the recipe's.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="fp32; fp16: half the bytes, what float16 cannot hold stays in float32; integers: "
            "w8a8-static, w8-dynamic, w8a16, w8 (weights alone: size, not speed), qat-w8a8 (of a "
            "run of tinyml train --qat). Default: the recipe's."
        ),
    ] = None,
    sparse: Annotated[
        str | None,
        typer.Option(
            help="auto: TFLite stores a pruned weight without its zeros where that is smaller; off."
        ),
    ] = None,
    io: Annotated[
        str | None,
        typer.Option(
            help="float (default); int8: inputs and outputs of the files are integers, their scale "
            "and zero point in the manifest. For w8a8-static, qat-w8a8."
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="A recipe whose [export] is taken instead of the checkpoint's; other options here "
            "override it."
        ),
    ] = None,
    ranges: Annotated[
        str | None,
        typer.Option(help="For integers: min-max (default), percentile, mse, entropy."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="For integers: .npz of inputs by name with a leading sample axis. Default: the "
            "training part of the checkpoint's data set, else the sample alone."
        ),
    ] = None,
    calibration_samples: Annotated[
        int | None, typer.Option(min=1, help="How many samples ranges are chosen on; default 200.")
    ] = None,
    keep_float: Annotated[
        list[str] | None,
        typer.Option(help="For integers: a stage that stays in float32. Repeatable."),
    ] = None,
    weight_scales: Annotated[
        str | None,
        typer.Option(
            help="For integers: per-channel (default); per-tensor, one scale a weight, is for "
            "processors that know no other."
        ),
    ] = None,
    front_end: Annotated[
        str | None,
        typer.Option(
            help="For integers: float (default), or int8 to see what rounding the front end costs."
        ),
    ] = None,
    equalize: Annotated[
        bool,
        typer.Option(
            "--equalize",
            help="For integers: first equalize the channels of consecutive layers; the answers in "
            "float32 stay the same.",
        ),
    ] = False,
    correct_bias: Annotated[
        bool,
        typer.Option(
            "--correct-bias",
            help="For w8a8-static and w8a16: take from each bias what rounding the weights adds to "
            "the mean of its layer, on the calibration samples.",
        ),
    ] = False,
    rounding: Annotated[
        str | None,
        typer.Option(
            help="For w8a8-static and w8a16: nearest (default), or adaptive: all weights of an "
            "output together, so that on the calibration samples what their layer gives changes "
            "least; corrects the biases too."
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="For integers: rank layers by what each costs alone."),
    ] = False,
    auto_precision: Annotated[
        bool,
        typer.Option(
            "--auto-precision",
            help="For integers: keep the most sensitive layers in float32 until the gate passes "
            "and at most --max-drop-points of the labels move.",
        ),
    ] = False,
    max_drop_points: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="With --auto-precision: percent of labels, points of a share of samples, or "
            "percent of any other metric; default 0.5.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="State dict, .safetensors or .pt, for a factory or a model's name."),
    ] = None,
    strip_prefix: Annotated[
        str, typer.Option(help="Prefix that the names in --weights lose: module. for instance.")
    ] = "",
    sample: Annotated[
        Path | None,
        typer.Option(help=".npz of the inputs by name: their shapes and types are the model's."),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(help="IN=OUT: the output OUT is the input IN of the next call. Repeatable."),
    ] = None,
    input_layout: Annotated[
        str, typer.Option(help="nhwc: 4-D inputs of the files come channels last, the sample too.")
    ] = "nchw",
    labels: Annotated[
        Path | None, typer.Option(help="Names along an output's last axis, one a line.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="my_eval.py:FUNCTION of predictions and targets; needs --data."),
    ] = None,
    metric_direction: Annotated[
        str | None,
        typer.Option(
            help="higher or lower: which is better. Needed unless the metric is a share of "
            "samples, or its name says it (accuracy, recall, auc)."
        ),
    ] = None,
    metric_tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="How much worse than PyTorch's the metric may be. Default: one sample or 1% of a "
            "share of samples, 1% of any other.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The data set's folder, default: below TINYML_DATA. With --metric: an .npz of "
            "inputs by name with a leading sample axis, and 'targets'."
        ),
    ] = None,
    without_data: Annotated[
        bool,
        typer.Option("--without-data", help="Judge parity on generated inputs only, and say so."),
    ] = False,
    require_delegate: Annotated[
        bool,
        typer.Option(
            "--require-delegate",
            help="Exit 5, naming what is left, unless XNNPACK takes every operator of the .tflite.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    keep_failed: Annotated[
        Path | None, typer.Option(help="Where to leave the files of an export that failed parity.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that one conversion may take.")
    ] = 600.0,
    memory: Annotated[
        int | None,
        typer.Option(min=64, help="MB that one conversion may use; default: the machine's."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Convert a model, check it against PyTorch and write a bundle.

    Every stage of the shipped files is compared with PyTorch on their runtimes. Out of
    tolerance is exit 5 with the first stage that diverges, and no bundle.

    Examples:

    \b
      tinyml export runs/demo --target rpi --out demo-bundle
      tinyml export runs/demo --target host --formats tflite --out here --force
      tinyml export runs/demo --target rpi --precision fp16 --out half
      tinyml export runs/demo --target rpi --precision w8a8-static --ranges mse --out int8
      tinyml export net.py:build --weights w.safetensors --sample s.npz --target rpi --out mine
    """
    from tinyml.pipeline.export import export
    from tinyml.pipeline.sources.export_job import ExportJob

    job = ExportJob(
        model=model,
        target=target,
        out=out,
        formats=tuple(formats.split(",")) if formats is not None else None,
        precision=precision,
        sparse=sparse,
        io=io,
        recipe=recipe,
        ranges=ranges,
        calibration=calibration,
        calibration_samples=calibration_samples,
        keep_float=tuple(keep_float or ()),
        weight_scales=weight_scales,
        front_end=front_end,
        equalize=equalize,
        correct_bias=correct_bias,
        rounding=rounding,
        explain=explain,
        auto_precision=auto_precision,
        max_drop_points=max_drop_points,
        weights=weights,
        strip_prefix=strip_prefix,
        sample=sample,
        states=tuple(state or ()),
        input_layout=input_layout,
        labels=labels,
        metric=metric,
        metric_direction=metric_direction,
        metric_tolerance=metric_tolerance,
        data=data,
        without_data=without_data,
        require_delegate=require_delegate,
        force=force,
        keep_failed=keep_failed,
        timeout_s=timeout,
        memory_mb=memory,
    )
    with progress(as_json=False) as report:
        bundle = export(job, report)
    if as_json:
        put_json({**bundle.manifest(), "digest": bundle.digest})
    else:
        _show(bundle, out)


def _show(bundle: Bundle, out: Path) -> None:
    from tinyml.pipeline.summary import parity_rows, sensitivity_rows

    put_table(*parity_rows(bundle.parity))
    if "harm" in bundle.facts:
        put_table(*sensitivity_rows(bundle.facts["harm"]))
    for agreement in bundle.parity.agreements:
        put(f"{agreement.engine}: {agreement.text}")
        for moved in agreement.disagreements:
            put(f"  {moved.name}: {moved.want} became {moved.got}, margin {moved.margin:.4f}")
    for metric in bundle.parity.metrics:
        put(f"{metric.engine}: {metric.name} {metric.value:.6g} on {metric.samples} samples")
    if bundle.parity.metrics and (better := bundle.parity.metrics[0].direction):
        put(f"{bundle.parity.metrics[0].name}: {better} is better")
    for model in bundle.models:
        for line in filter(None, (model.mixed, model.note, model.twin_note)):
            say(f"{model.path}: {line}")
    for what, why in bundle.facts.get("not_judged", {}).items():
        say(f"not judged: {what}: {why}")
    if bundle.parity.accuracy_note:
        say(bundle.parity.accuracy_note)
    put(f"digest: {bundle.digest}")
    say(f"written: {out}")
    on_board = f"; copy {out} to the board, run its {RUN}" if RUN in bundle.files else ""
    say(f"next: tinyml verify {out}; tinyml bench {out}{on_board}")
