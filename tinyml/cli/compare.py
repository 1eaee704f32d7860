"""``tinyml compare``: two bundles or model files next to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.terminal import progress, put, put_json, put_table


def command(
    a: Annotated[Path, typer.Argument(help="A bundle, a .tflite or an .onnx file.")],
    b: Annotated[Path, typer.Argument(help="Another, of any of the three kinds.")],
    bench: Annotated[
        bool, typer.Option("--bench", help="Time both on this machine, in turns.")
    ] = False,
    repeats: Annotated[
        int, typer.Option(min=5, help="Fresh processes of each file, with --bench.")
    ] = 7,
    runs: Annotated[int, typer.Option(min=1, help="Timed calls in each, with --bench.")] = 100,
    threads: Annotated[int, typer.Option(min=1, help="Threads, with --bench.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two bundles or model files.

    Compares size, operators, precision of each layer, rewrites, signature, pre- and
    postprocessing, and parity. Times come from tinyml bench, or --bench measures both in turns.
    B is faster or slower only if the 99% interval of the ratio of medians excludes 1 and both
    were measured in the same way. The exit code is 0 whatever differs.

    Example: tinyml compare demo-bundle int8-bundle --bench
    """
    from tinyml.pages.tables import paragraph
    from tinyml.pipeline.compare import compare
    from tinyml.pipeline.compare_latency import Timing
    from tinyml.pipeline.compare_text import sections

    timing = Timing(repeats, runs, threads) if bench else None
    with progress(as_json=False) as report:
        found = compare(a, b, timing, report)
    if as_json:
        put_json(found.to_json())
        return
    for section in sections(found):
        put(section.title)
        if section.rows:
            put_table(section.head, section.rows, indent=2)
        for line in section.lines:
            put(paragraph("", line, indent=2))
