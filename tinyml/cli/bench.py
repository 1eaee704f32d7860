"""``tinyml bench``: how long a bundle or a model file takes on this machine or on boards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyml.cli.device_option import Devices, Strict, Tag, devices_of
from tinyml.cli.report_option import ReportFile, check_report_option, write_report
from tinyml.cli.terminal import AsJson, progress, put, put_json, put_section, say
from tinyml.cli.timing import (
    BenchmarkModel,
    Between,
    Cpu,
    CpuTime,
    Delegate,
    MaxRegression,
    MinTime,
    Period,
    Power,
    Quick,
    Runs,
    Target,
    Threads,
    fraction,
    timing,
)
from tinyml.core.errors import UsageError
from tinyml.core.typed_json import to_json

if TYPE_CHECKING:
    from tinyml.core.device import Device
    from tinyml.pipeline.bench_devices import DeviceBenchmark
    from tinyml.pipeline.compare_latency import LatencyPair


def command(
    what: Annotated[Path, typer.Argument(help="A bundle's folder; or a .tflite or .onnx file.")],
    repeats: Annotated[int, typer.Option(min=1, help="Fresh processes per runtime and part.")] = 5,
    runs: Runs = 100,
    min_time: MinTime = 0.5,
    quick: Quick = False,
    device: Devices = None,
    tag: Tag = None,
    strict: Strict = False,
    target: Target = "host",
    threads: Threads = None,
    cpu: Cpu = None,
    delegate: Delegate = "xnnpack",
    period: Period = None,
    between: Between = None,
    cpu_time: CpuTime = False,
    power: Power = None,
    benchmark_model: BenchmarkModel = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also show the time of each submodule.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON of raw samples; default: next to the bundle or file."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="BENCH.JSON", help="Compare with this benchmark.")
    ] = None,
    max_regression: MaxRegression = None,
    report_file: ReportFile = None,
    as_json: AsJson = False,
) -> None:
    """Time a bundle or a model file on this machine or on boards.

    Times every runtime and format in fresh processes that take turns. A process warms up until the
    time of a call is stable; then it times at least --runs calls and --min-time seconds, and at
    most 10 seconds. It does not count if other processes took part of its time or the CPU's
    frequency, governor or temperature changed; then it is repeated, up to a limit.

    Front end and network are separate rows: the front end is the same file, cut after its last
    stage; the network is the difference of the medians. A single file is timed as a whole, on
    random inputs. --profile adds the time of each submodule, by the runtime's own profiler or,
    without one, by timing parts of the file. The exit code is 0 whatever the times are, unless
    --max-regression is given.

    On a board, outputs are compared with PyTorch's first: a file with wrong outputs is not timed,
    and the exit code is 5. Several boards are timed at once, each with its own result file; if one
    fails, the others continue.

    Examples:

    \b
      tinyml bench demo-bundle --threads 1,2
      tinyml bench demo-bundle --profile
      tinyml bench demo-bundle --device pi4,pi5 --strict
      tinyml bench new-bundle --against old-bundle.bench.json --max-regression 5%
    """
    from tinyml.core.regression import check_regressions
    from tinyml.pipeline import against as baselines
    from tinyml.pipeline.bench_averages import program_for
    from tinyml.pipeline.bench_devices import bench_devices, check

    most = fraction(max_regression)
    if most is not None and against is None:
        raise UsageError("--max-regression needs --against BENCH.JSON: the baseline")
    devices = devices_of(device, tag, target)
    _check_single(devices, out, against)
    how = timing(
        repeats,
        runs,
        min_time,
        quick=quick,
        threads=threads,
        cpu=cpu,
        delegate=delegate,
        device=devices[0],
        period=period,
        between=between,
    )
    how = replace(how, benchmark_model=benchmark_model, power=power, profile=profile)
    check_report_option(report_file, what)
    for one in devices:
        program_for(replace(how, device=one), cpu_time=cpu_time, verdict=against is not None)
    with progress(as_json=False) as report:
        found = bench_devices(
            what, devices, timing=how, out=out, report=report, cpu_time=cpu_time, strict=strict
        )
    results = [own.benchmark for own in found if own.benchmark is not None]
    if not results:
        check(found)
    pairs = tuple(
        own for result in results if against for own in baselines.against(result, against)
    )
    if as_json:
        put_json(_json(found, pairs))
    else:
        for own in found:
            _put(own, pairs, several=len(found) > 1)
    check(found)
    write_report(
        report_file,
        what,
        taken=[own for one in results for own in one.report.all_timings],
        profiles=[own for one in results for own in one.profiles],
    )
    if most is not None:
        check_regressions(baselines.verdicts(pairs), most)


def _check_single(devices: Sequence[Device], out: Path | None, against: Path | None) -> None:
    """Raise `UsageError` for what makes no sense with several devices."""
    for option, path in {"--out": out, "--against": against}.items():
        if path is not None and len(devices) > 1:
            names = ", ".join(own.name for own in devices)
            raise UsageError(f"{option} is for one device, and these are several: {names}")


def _json(found: Sequence[DeviceBenchmark], pairs: Sequence[LatencyPair]) -> dict[str, Any]:
    """For one device its file's content; for several, by name, the content or the error."""
    shown = {own.device.name: _shown(own) for own in found}
    if len(found) > 1:
        return {"devices": shown}
    (only,) = shown.values()
    return {**only, "against": [pair.to_json() for pair in pairs]}


def _shown(own: DeviceBenchmark) -> dict[str, Any]:
    if own.benchmark is None:
        return {"error": own.error.message if own.error else ""}
    return dict(to_json(own.benchmark.report))


def _put(own: DeviceBenchmark, pairs: Sequence[LatencyPair], *, several: bool) -> None:
    """Print the tables of a device; nothing if it has no benchmark."""
    from tinyml.pipeline.bench_text import sections
    from tinyml.pipeline.compare_text import latency_section

    result = own.benchmark
    if result is None:
        return
    if several:
        put(f"{own.device.name}:")
    for section in sections(result):
        put_section(section)
    if pairs:
        put_section(latency_section(pairs, ("baseline", "now")))
    kind = "averages" if result.averages else "raw samples"
    say(f"label: {result.label}; {kind}: {result.path}")
