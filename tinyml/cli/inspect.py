"""``tinyml inspect``: what is in a bundle or a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.settings import export_flags
from tinyml.cli.terminal import AsJson, put, put_json
from tinyml.core.errors import UsageError
from tinyml.core.typed_json import to_json


def command(
    what: Annotated[Path, typer.Argument(help="A bundle, a .tflite or an .onnx file.")],
    sparse: Annotated[
        bool,
        typer.Option(
            "--sparse", help="Show whether sparse kernels run it on --target, and if not, why."
        ),
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(help="rpi4, android, ... or your own FILE.toml; default: a bundle's own."),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="With --sparse: litert, litert-web, ort, mnn; default: by the file."),
    ] = None,
    runtime_version: Annotated[
        str | None, typer.Option(help="With --sparse; default: the one that the target gets.")
    ] = None,
    require: Annotated[
        bool, typer.Option("--require-sparse", help="With --sparse: exit 5 where it runs dense.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a bundle or a model file holds.

    Shows signature, operators, MACs, parameters, largest activation and precision per layer;
    lint, which is what is slow, large or fragile on --target and how to fix it; and which
    operators of a .tflite XNNPACK runs. A bundle also shows its manifest.

    With --sparse: does the runtime use its sparse kernels for this file, and which operator
    prevents it? The conditions are those of the runtime's source code.

    Examples:

    \b
      tinyml inspect demo-bundle/funnelnet-fp32.tflite
      tinyml inspect --sparse --target rpi4 demo-bundle
    """
    if not sparse:
        given = {"--runtime": runtime, "--runtime-version": runtime_version}
        for option, value in {**given, "--require-sparse": require}.items():
            if value:
                raise UsageError(f"{option} is for --sparse", hint="add --sparse")
        _show(what, target, as_json)
        return
    if target is None:
        raise UsageError("--sparse needs a target", hint="--target rpi4; tinyml targets lists them")
    _show_sparse(what, target, runtime, runtime_version, require, as_json)


def _show(what: Path, target: str | None, as_json: bool) -> None:
    from tinyml.pages.summary import inspection_text
    from tinyml.pipeline.inspect import inspect

    found = inspect(what, target)
    if as_json:
        put_json(found)
        return
    put(export_flags(inspection_text(found)))


def _show_sparse(
    what: Path,
    target: str,
    runtime: str | None,
    version: str | None,
    require: bool,
    as_json: bool,
) -> None:
    from tinyml.pipeline.inspect_sparse import (
        inspect_sparse,
        modules_for,
        require_sparse,
        sparse_text,
    )

    found = inspect_sparse(what, target, runtime, version)
    if as_json:
        put_json({"sparse": to_json(found)})
    else:
        put(export_flags(sparse_text(found, modules_for(what, runtime))))
    if require:
        require_sparse(found)
