"""``tinyml train``: a recipe in, a checkpoint out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tinyml.cli.terminal import metric_lines, progress, put, put_json, say
from tinyml.core.errors import UsageError

# The options, in the order of the help text.
Out = Annotated[Path, typer.Option("--out", help="Folder of the run.")]
Recipe = Annotated[
    str | None,
    typer.Argument(
        help="A recipe's TOML file, or a shipped one: cifar10, circor, shapes, synthetic."
    ),
]
Folds = Annotated[
    int, typer.Option(min=0, help="Cross-validate by subject: one checkpoint per fold.")
]
Qat = Annotated[
    Path | None,
    typer.Option(
        "--qat",
        metavar="CHECKPOINT",
        help="Instead of a recipe: quantization-aware fine-tuning of this run, for "
        "tinyml export --precision qat-w8a8.",
    ),
]
Epochs = Annotated[
    int | None, typer.Option(help="With --qat; default: a tenth of the checkpoint's.")
]
LearningRate = Annotated[
    float | None, typer.Option(help="With --qat; default: a tenth of the checkpoint's.")
]
Distill = Annotated[
    float | None,
    typer.Option(help="With --qat: weight of the checkpoint's outputs in the loss: 0.5."),
]
Data = Annotated[
    Path | None, typer.Option(help="The data set's folder; default: below TINYML_DATA.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Treat contradictions in the data set as errors.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON event per line.")]


def command(
    out: Out,
    recipe: Recipe = None,
    folds: Folds = 0,
    qat: Qat = None,
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    distill: Distill = None,
    data: Data = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Train a recipe. After an interruption the same command resumes.

    Examples:

    \b
      tinyml train synthetic --out runs/demo
      tinyml train circor --folds 5 --out runs/circor-folds
      tinyml train --qat runs/demo --out runs/demo-qat
    """
    from tinyml.pipeline.qat import QatJob, train_rounded
    from tinyml.pipeline.train import train

    asked = {"epochs": epochs, "learning_rate": learning_rate, "distill_weight": distill}
    chosen = {name: value for name, value in asked.items() if value is not None}
    _check(recipe, qat, folds, chosen)
    with progress(as_json=as_json) as report:
        if recipe is not None:
            result = train(recipe, out, folds=folds, data=data, strict=strict, report=report)
        elif qat is not None:
            result = train_rounded(QatJob(qat, chosen, data), out, report)
    _show(result, out, folds=folds, as_json=as_json)


def _check(recipe: str | None, qat: Path | None, folds: int, chosen: dict[str, Any]) -> None:
    """`UsageError` for what does not go together."""
    for name in chosen if qat is None else ():
        option = {"distill_weight": "distill"}.get(name, name).replace("_", "-")
        raise UsageError(f"--{option} is for --qat", hint=f"write {name} into the recipe's [train]")
    if (recipe is None) == (qat is None):
        raise UsageError(
            "a recipe or --qat CHECKPOINT is needed, and not both",
            hint="tinyml train synthetic --out runs/demo",
        )
    if qat is not None and folds:
        raise UsageError(
            "--folds trains a recipe; --qat fine-tunes one checkpoint",
            hint="run --qat once for each fold's checkpoint",
        )


def _show(result: dict[str, Any], out: Path, *, folds: int, as_json: bool) -> None:
    if as_json:
        put_json({"event": "done", **result}, indent=None)
        return
    metrics = result["metrics"].items()
    put(metric_lines({key: value for key, value in metrics if not isinstance(value, list | dict)}))
    say(f"written: {result['written']}")
    if not folds:
        say(f"next: tinyml export {out} --target rpi --out {out}-bundle")
