"""``tinyml inspect``: what is in a bundle or a model file, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.terminal import put, put_json


def command(
    what: Annotated[Path, typer.Argument(help="A bundle, a .tflite or an .onnx file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a bundle or a model file holds.

    Signature, ops, MACs, parameters, largest activation, precision per layer, and lint: what is
    slow, large or fragile, with its cure. Of a bundle: its manifest; its model files too, where
    their readers are installed.

    Example: tinyml inspect demo-bundle/funnelnet-fp32.tflite
    """
    from tinyml.pipeline.inspect import inspect
    from tinyml.pipeline.summary import inspection_text

    found = inspect(what)
    if as_json:
        put_json(found)
        return
    put(inspection_text(found))
