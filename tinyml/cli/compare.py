"""``tinyml compare``: two bundles or model files next to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.report_option import ReportFile, check_report_option, write_report
from tinyml.cli.terminal import AsJson, progress, put_json, put_section
from tinyml.cli.timing import (
    Between,
    Cpu,
    CpuTime,
    Delegate,
    MaxRegression,
    MinTime,
    Period,
    Quick,
    Runs,
    Target,
    Threads,
    fraction,
    timing,
)


def command(
    a: Annotated[Path, typer.Argument(help="A bundle, a .tflite or an .onnx file.")],
    b: Annotated[Path, typer.Argument(help="Another, of any of the three kinds.")],
    bench: Annotated[
        bool, typer.Option("--bench", help="Time both on this machine, in turns.")
    ] = False,
    repeats: Annotated[
        int, typer.Option(min=5, help="Fresh processes of each file, with --bench.")
    ] = 12,
    runs: Runs = 100,
    min_time: MinTime = 0.5,
    quick: Quick = False,
    target: Target = "host",
    threads: Threads = None,
    cpu: Cpu = None,
    delegate: Delegate = "xnnpack",
    period: Period = None,
    between: Between = None,
    cpu_time: CpuTime = False,
    max_regression: MaxRegression = None,
    report_file: ReportFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare two bundles or model files.

    Compares size, operators, precision of each layer, rewrites, signature, pre- and
    postprocessing, and parity. Times come from tinyml bench, or --bench measures both in turns.
    B is faster or slower only if the 99% interval of the ratio of medians excludes 1 +- 5% and both
    were measured in the same way. The exit code is 0 whatever differs, unless --max-regression is
    given: A is the baseline.

    Example: tinyml compare demo-bundle int8-bundle --bench
    """
    from tinyml.core.regression import check_regressions
    from tinyml.core.time_ratio import MARGIN
    from tinyml.pipeline.against import verdicts
    from tinyml.pipeline.compare import compare
    from tinyml.pipeline.compare_text import sections
    from tinyml.pipeline.devices.links import this_machine

    most = fraction(max_regression)
    how = timing(
        repeats,
        runs,
        min_time,
        quick=quick,
        threads=threads,
        cpu=cpu,
        delegate=delegate,
        device=this_machine(target),
        period=period,
        between=between,
    )
    check_report_option(report_file, a, b)
    with progress(as_json=False) as report:
        found = compare(
            a, b, how if bench else None, report, cpu_time=cpu_time, most=most or MARGIN
        )
    if as_json:
        put_json(found.to_json())
    else:
        for section in sections(found):
            put_section(section)
    measured = [own for pair in found.latency for own in (pair.a, pair.b) if own is not None]
    write_report(report_file, a, b, taken=measured if bench else ())
    if most is not None:
        check_regressions(verdicts(found.latency), most)
