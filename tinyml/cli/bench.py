"""``tinyml bench``: how long a bundle or a model file takes on the machine at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.report_option import ReportFile, check_report_option, write_report
from tinyml.cli.terminal import progress, put_json, put_section, say
from tinyml.cli.timing import (
    BenchmarkModel,
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
from tinyml.core.errors import UsageError
from tinyml.core.typed_json import to_json


def command(
    what: Annotated[Path, typer.Argument(help="A bundle's folder; or a .tflite or .onnx file.")],
    repeats: Annotated[int, typer.Option(min=1, help="Fresh processes per runtime and part.")] = 5,
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
    benchmark_model: BenchmarkModel = None,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON of raw samples; default: next to the bundle or file."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="BENCH.JSON", help="Compare with this benchmark.")
    ] = None,
    max_regression: MaxRegression = None,
    report_file: ReportFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time a bundle or a model file on this machine.

    Times every runtime and format in fresh processes that take turns. A process warms up until the
    time of a call is stable; then it times at least --runs calls and --min-time seconds, and at
    most 10 seconds. It does not count if other processes took part of its time or the CPU's
    frequency, governor or temperature changed; then it is repeated, up to a limit.

    Front end and network are separate rows: the front end is the same file, cut after its last
    stage; the network is the difference of the medians. A single file is timed as a whole, on
    random inputs. The exit code is 0 whatever the times are, unless --max-regression is given.

    Examples:

    \b
      tinyml bench demo-bundle --threads 1,2
      tinyml bench new-bundle --against old-bundle.bench.json --max-regression 5%
    """
    from tinyml.core.regression import check_regressions
    from tinyml.pipeline import against as baselines
    from tinyml.pipeline.bench import bench
    from tinyml.pipeline.bench_averages import program_for
    from tinyml.pipeline.bench_text import sections
    from tinyml.pipeline.compare_text import latency_section

    most = fraction(max_regression)
    if most is not None and against is None:
        raise UsageError("--max-regression needs --against BENCH.JSON: the baseline")
    how = timing(
        repeats,
        runs,
        min_time,
        quick=quick,
        threads=threads,
        cpu=cpu,
        delegate=delegate,
        target=target,
        period=period,
        between=between,
    )
    how = replace(how, benchmark_model=benchmark_model)
    check_report_option(report_file, what)
    program_for(how, cpu_time=cpu_time, verdict=against is not None)
    with progress(as_json=False) as report:
        result = bench(what, timing=how, out=out, report=report, cpu_time=cpu_time)
    pairs = baselines.against(result, against) if against is not None else ()
    if as_json:
        put_json({**to_json(result.report), "against": [pair.to_json() for pair in pairs]})
    else:
        for section in sections(result):
            put_section(section)
        if pairs:
            put_section(latency_section(pairs, ("baseline", "now")))
        say(f"label: {result.label}; raw samples: {result.path}")
    result.check()
    write_report(report_file, what, taken=result.measurements)
    if most is not None:
        check_regressions(baselines.verdicts(pairs), most)
