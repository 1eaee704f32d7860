"""``tinyml bench``: how long a bundle or a model file takes on the machine at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.terminal import progress, put, put_json, put_table, say
from tinyml.core.typed_json import to_json


def command(
    what: Annotated[Path, typer.Argument(help="A bundle's folder; or a .tflite or .onnx file.")],
    repeats: Annotated[int, typer.Option(min=1, help="Fresh processes per runtime and part.")] = 5,
    runs: Annotated[int, typer.Option(min=1, help="Timed calls in each process.")] = 100,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON of raw samples; default: next to the bundle or file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time a bundle or a model file on this machine.

    Times every runtime and format in fresh processes that take turns. Front end and network are
    separate rows: the front end is the same file, cut after its last stage; the network is the
    difference of the medians. A single file is timed as a whole, on random inputs.

    Example: tinyml bench demo-bundle --repeats 5
    """
    from tinyml.pipeline.bench import bench

    with progress(as_json=False) as report:
        result = bench(what, repeats=repeats, runs=runs, threads=threads, out=out, report=report)
    if as_json:
        put_json(to_json(result.report))
        return
    put_table(*result.rows())
    for line in result.lines():
        put(line)
    say(f"label: {result.label}; raw samples: {result.path}")
