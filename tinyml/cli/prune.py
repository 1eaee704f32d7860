"""``tinyml prune``: a trained checkpoint in, a sparse one out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyml.cli.terminal import AsJson, metric_lines, progress, put, put_json, put_table, say
from tinyml.core.errors import UsageError

if TYPE_CHECKING:
    from tinyml.pipeline.prune import PruneJob


# The options, in the order of the help text.
Parent = Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A run or its checkpoint.")]
Method = Annotated[str, typer.Option(help="gradual, magnitude or lottery.")]
Sparsity = Annotated[
    float | None, typer.Option(help="Share of zeros; default: the sparse preset's own.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the run.")]
Block = Annotated[int | None, typer.Option(help="1, 2 or 4 channels share their zeros.")]
BlockAxis = Annotated[str | None, typer.Option(help="output or input channels.")]
Layers = Annotated[
    str | None,
    typer.Option(help="pointwise, all (but first and last), every, or a pattern of names."),
]
Scope = Annotated[str | None, typer.Option(help="layer, or global: one ranking.")]
Rate = Annotated[float | None, typer.Option(help="Lottery: share pruned per round.")]
RewindStep = Annotated[
    int | None, typer.Option(help="Lottery: weights return to their values at this step.")
]
Control = Annotated[
    str | None, typer.Option(help="Control of a lottery ticket: reinit or random-mask.")
]
Epochs = Annotated[int | None, typer.Option(help="Epochs of each training; default: as dense.")]
LearningRate = Annotated[float | None, typer.Option(help="Default: as the dense run.")]
Distill = Annotated[
    float | None, typer.Option(help="Weight of the parent's outputs in the loss: 0.5.")
]
Data = Annotated[
    Path | None, typer.Option(help="The data set's folder; default: below TINYML_DATA.")
]
Dry = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be pruned and what it costs.")
]


def command(
    parent: Parent,
    method: Method,
    sparsity: Sparsity = None,
    out: Out = None,
    block: Block = None,
    block_axis: BlockAxis = None,
    layers: Layers = None,
    scope: Scope = None,
    rate: Rate = None,
    rewind_step: RewindStep = None,
    control: Control = None,
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    distill: Distill = None,
    data: Data = None,
    dry: Dry = False,
    as_json: AsJson = False,
) -> None:
    """Prune a trained model while training goes on. The same command again resumes.

    Masked weights are exact zeros in the checkpoint and in every exported file.

    Examples:

    \b
      tinyml prune runs/dense --method gradual --sparsity 0.9 --out runs/sparse
      tinyml prune runs/dense --method gradual --sparsity 0.9 --block 4 --dry-run
      tinyml prune runs/dense --method lottery --sparsity 0.8 --rewind-step 500 \\
        --out runs/ticket
    """
    from tinyml.pipeline.prune import PruneJob

    asked = {
        "method": method,
        "sparsity": sparsity,
        "block": block,
        "block_axis": block_axis,
        "layers": layers,
        "scope": scope,
        "rate": rate,
        "rewind_step": rewind_step,
        "control": control,
    }
    train = {"epochs": epochs, "learning_rate": learning_rate, "distill_weight": distill}
    job = PruneJob(parent=parent, prune=_given(asked), train=_given(train), data=data)
    _run(job, out, dry=dry, as_json=as_json)


def _run(job: PruneJob, out: Path | None, *, dry: bool, as_json: bool) -> None:
    from tinyml.pipeline.prune import dry_run, prune

    if dry:
        _show_plan(dry_run(job), as_json)
        return
    if out is None:
        raise UsageError("--out is missing: the folder of the pruned run")
    with progress(as_json=as_json) as report:
        result = prune(job, out, report)
    if as_json:
        put_json({"event": "done", **result}, indent=None)
        return
    _show(result)
    say(f"next: tinyml export {out} --target rpi --out {out}-bundle")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _show(result: dict[str, Any]) -> None:
    metrics = result["metrics"].items()
    put(metric_lines({key: value for key, value in metrics if isinstance(value, float)}))
    rows = [
        (row["name"], f"{row['weights']:,}", f"{row['zeros'] / row['weights']:.3f}")
        for row in result["pruning"]["layers"]
    ]
    put_table(("layer", "weights", "sparsity"), rows)
    for what in ("written", "page"):
        if result[what]:
            say(f"{what}: {result[what]}")


def _show_plan(plan: dict[str, Any], as_json: bool) -> None:
    if as_json:
        put_json(plan)
        return
    rows = [
        (
            row["name"],
            f"{row['weights']:,}",
            f"{row['sparsity']:.3f}",
            str(row["block"]),
            f"{row['macs']:,}",
            f"{row['effective_macs']:,}",
        )
        for row in plan["layers"]
    ]
    put_table(("layer", "weights", "sparsity", "block", "MACs", "effective"), rows)
    put(f"MACs {plan['macs']:,}, effective {plan['effective_macs']:,}")
    put(f"nonzero parameters {plan['nonzero']:,}")
    put(f"float32 file {plan['file_bytes']:,} bytes, sparse storage {plan['packed_bytes']:,}")
