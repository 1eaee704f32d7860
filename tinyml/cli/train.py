"""``tinyml train``: a recipe in, a checkpoint out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.terminal import progress, put, put_json, say


def command(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's TOML file, or a shipped one: synthetic, circor.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    folds: Annotated[
        int, typer.Option(min=0, help="Cross-validate by person instead of training one model.")
    ] = 0,
    data: Annotated[
        Path | None, typer.Option(help="The data set's folder; default: below TINYML_DATA.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Contradictions in the data set are errors.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON event per line.")] = False,
) -> None:
    """Train a recipe. Interrupted or killed, the same command continues where it stopped.

    Examples:

    \b
      tinyml train synthetic --out runs/demo
      tinyml train circor --folds 5 --out runs/circor-folds
    """
    from tinyml.pipeline.train import train

    with progress(as_json=as_json) as report:
        result = train(recipe, out, folds=folds, data=data, strict=strict, report=report)
    if as_json:
        put_json({"event": "done", **result}, indent=None)
        return
    for name, value in result["metrics"].items():
        if not isinstance(value, list | dict):
            put(f"{name:<20} {value:.3f}" if isinstance(value, float) else f"{name:<20} {value}")
    say(f"written: {result['written']}")
    if not folds:
        say(f"next: tinyml export {out} --target rpi --out {out}-bundle")
