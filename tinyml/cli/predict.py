"""``tinyml predict``: recordings in, probabilities out, through a bundle's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.terminal import put, put_json, say


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    files: Annotated[list[Path], typer.Argument(help="wav or flac files, any rate.")],
    plot: Annotated[
        Path | None, typer.Option(help="Draw the scalogram and the answer of one file as PNG.")
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="litert (default) or onnxruntime.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Probability of each label per recording.

    Mono or stereo, any rate, any PCM width or float.

    Example: tinyml predict demo-bundle patient_AV.wav patient_MV.wav --json
    """
    from tinyml.pipeline.predict import predict

    answers = predict(bundle, files, plot=plot, runtime=runtime)
    if as_json:
        put_json([answer.to_json() for answer in answers])
        return
    for answer in answers:
        shares = "  ".join(f"{name} {p:.3f}" for name, p in answer.probabilities.items())
        put(f"{answer.file}: {answer.label}  ({shares}; {answer.windows} windows)")
    say("a research result, not a medical device")
