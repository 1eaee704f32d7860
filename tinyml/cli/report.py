"""``tinyml report``: one HTML file about a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.settings import export_flags
from tinyml.cli.terminal import put, put_json, say


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    more: Annotated[
        list[Path] | None,
        typer.Argument(help="Files of tinyml bench; other bundles to compare it with."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The HTML file; default: BUNDLE.report.html next to it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write one HTML file about a bundle: it needs no network and runs no script.

    Shows what the model is and is not, parity of each stage, the sensitivity of layers, findings
    with fixes, latency of what was measured, and the commands that make each figure again. Files
    that tinyml bench left next to the bundles are used without being named. A section without data
    names the command that adds it.

    Examples:

    \b
      tinyml report demo-bundle
      tinyml report demo-bundle int8-bundle -o compared.html
    """
    from tinyml.pipeline.report import report

    path = report(bundle, more or [], out, in_options=export_flags)
    if as_json:
        put_json({"report": str(path)})
        return
    put(f"{path}")
    say("open it in a browser, or print it")
