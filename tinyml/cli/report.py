"""``tinyml report``: one HTML file about a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.settings import export_flags
from tinyml.cli.terminal import AsJson, progress, put, put_json, say


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    more: Annotated[
        list[Path] | None,
        typer.Argument(help="Files of tinyml bench; other bundles to compare it with."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="The data set's folder, or auto: it is generated, or lies below TINYML_DATA.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The HTML file; default: BUNDLE.report.html next to it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file about a bundle: it needs no network and runs no script.

    Shows what the model is and is not, parity of each stage, the sensitivity of layers, findings
    with fixes, latency of what was measured, and the commands that make each figure again. Files
    that tinyml bench left next to the bundles are used without being named.

    With --data also metrics with intervals, confusion, ROC and reliability, samples that are right
    and wrong, and what each stage makes of one of them. A section that has nothing to show names
    the command that adds it.

    Examples:

    \b
      tinyml report demo-bundle
      tinyml report demo-bundle --data auto
      tinyml report demo-bundle int8-bundle -o compared.html
    """
    from tinyml.pipeline.report import report

    with progress(as_json=False) as shown:
        path = report(bundle, more or [], out, data=data, in_options=export_flags, progress=shown)
    if as_json:
        put_json({"report": str(path)})
        return
    put(f"{path}")
    say("open it in a browser, or print it")
