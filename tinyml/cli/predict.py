"""``tinyml predict``: recordings or images in, probabilities out, through a bundle's own file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.device_option import OneDevice, one_device
from tinyml.cli.terminal import NOT_MEDICAL, AsJson, progress, put, put_json, say
from tinyml.core.typed_json import to_json

# Labels of an image that are printed: there may be a thousand.
LIKELIEST = 5


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    files: Annotated[
        list[Path], typer.Argument(help="wav or flac files, any rate; or jpg, png, bmp.")
    ],
    plot: Annotated[
        Path | None, typer.Option(help="Draw the scalogram and the prediction of one file as PNG.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="litert (default), onnxruntime or openvino.")
    ] = None,
    device: OneDevice = "",
    as_json: AsJson = False,
) -> None:
    """Print the probability of each label per recording or image.

    Recordings: mono or stereo, any rate, any PCM width or float. Images: any size and colours,
    or .npy of uint8 in the model's own size.

    With --device the network runs on a board; this machine reads, cuts and scores the files.

    Examples:

    \b
      tinyml predict demo-bundle patient_AV.wav patient_MV.wav --json
      tinyml predict demo-bundle patient_AV.wav --device mypi
    """
    from tinyml.pipeline.predict import RecordingPrediction, predict

    with progress(as_json=False) as report:
        chosen = one_device(device)
        answers = predict(bundle, files, plot=plot, runtime=runtime, device=chosen, report=report)
    if as_json:
        put_json(to_json(answers))
        return
    for answer in answers:
        if isinstance(answer, RecordingPrediction):
            shares = _shares(answer.probabilities.items())
            put(f"{answer.file}: {answer.label}  ({shares}; {answer.windows} windows)")
        else:
            ordered = sorted(answer.probabilities.items(), key=lambda item: -item[1])
            put(f"{answer.file}: {answer.label}  ({_shares(ordered[:LIKELIEST])})")
    if any(isinstance(answer, RecordingPrediction) for answer in answers):
        say(NOT_MEDICAL)


def _shares(probabilities: Iterable[tuple[str, float]]) -> str:
    return "  ".join(f"{name} {p:.3f}" for name, p in probabilities)
