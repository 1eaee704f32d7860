"""Latency and trade-offs: whose measurement it is, what is drawn, and who is on the frontier."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from matplotlib.figure import Figure
from report_sample import FILE, SHA, material, sample_bundle

from tinyml.core.averages import AverageProcess, AverageTiming
from tinyml.core.bundle import ListedFile
from tinyml.core.measurement import Conditions, Discarded, Label, Measurement, Process
from tinyml.core.timing_plan import FULL
from tinyml.pages.report.content import Missing, NamedValues, Prose, Table
from tinyml.pages.report.material import Material, NamedBundle, Taken
from tinyml.pages.report.sections import latency, tradeoffs
from tinyml.pages.report.sections.overview import page
from tinyml.pages.report.svg import Chart

FORMATS = {"litert": "tflite", "onnxruntime": "onnx"}
OTHER = "ef" * 32


def measured(us: int = 1000, **changes: Any) -> Measurement:
    """Five processes of twenty calls, some of them slower."""
    runs = tuple(
        Process(tuple(1000 * us + 5000 * turn + 100 * call for call in range(20)), 5, 7, 9, 2048)
        for turn in range(5)
    )
    conditions = Conditions(cpu="a <b> core", threads=1, device="this machine")
    whole = Measurement(FILE, SHA, "whole", "litert", "2.3", runs, conditions, "host")
    return replace(whole, **changes)


def timed(*found: Measurement, **changes: Any) -> Material:
    """The sample's bundle with ``found``, all from one file."""
    taken = tuple(Taken(own, "demo.bench.json") for own in found)
    return replace(material(), taken=taken, formats=FORMATS, **changes)


def two_bundles(size: int = 90_000, us: int = 2000) -> Material:
    """The sample, and a bundle whose file is of ``size`` and takes ``us``."""
    sample = sample_bundle()
    (model,) = sample.models
    other = replace(
        sample,
        models=(replace(model, sha256=OTHER),),
        files={FILE: ListedFile(size, OTHER)},
    )
    return timed(
        measured(),
        measured(us, model_sha256=OTHER),
        bundles=(NamedBundle("demo", sample), NamedBundle("other", other)),
    )


def table(found: Any, start: str) -> Table:
    return next(b for b in found.blocks if isinstance(b, Table) and b.caption.startswith(start))


def test_a_file_is_known_by_its_content_and_a_part_by_its_whole() -> None:
    front = measured(300, model=f"front-end-{FILE}", model_sha256="12" * 32, part="front end")
    unlisted = measured(400, model="x.tflite", model_sha256="34" * 32)
    rows = table(
        latency.section(timed(measured(), front, unlisted)), "Milliseconds of one call"
    ).rows
    assert [(row[0], row[3]) for row in rows] == [
        ("demo, tflite", "whole"),
        ("demo, tflite", "front end"),
        ("x.tflite (demo.bench.json)", "whole"),
    ]
    assert rows[0][1:6] == ("this machine (host)", "litert", "whole", "1.01", "1.02")


def test_the_distribution_shows_every_process() -> None:
    (chart,) = (b for b in latency.section(timed(measured())).blocks if isinstance(b, Chart))
    assert "1 measurement. Medians: demo, tflite 1.01 ms" in chart.alt
    # Five thin lines and the thick one; a stroke each in the plot and one in the legend.
    assert chart.wide.count("stroke-one") == 7


def test_where_it_was_measured_is_said_and_the_conditions_shown() -> None:
    found = latency.section(timed(measured()))
    assert "not on the board" in repr(found.blocks[0])
    (values,) = (b for b in found.blocks if isinstance(b, NamedValues))
    assert ("Processor", "a <b> core") in values.rows
    other = replace(measured(), conditions=replace(measured().conditions, cpu="another"))
    both = table(latency.section(timed(measured(), other)), "Conditions")
    assert both.head == ["condition", "machine 1", "machine 2"]


def on(device: str, label: Label, us: int = 1000) -> Measurement:
    return measured(us, conditions=Conditions(device=device, threads=1), label=label)


def test_devices_are_told_apart_and_not_compared() -> None:
    found = latency.section(timed(measured(), on("mypi", "device", 5000), on("q", "emulated")))
    prose = [own.text for own in found.blocks if isinstance(own, Prose)]
    assert prose[1:] == [
        "mypi: These times were measured on the board.",
        "q: The board is emulated: these times are not those of the board.",
    ]
    charts = [own for own in found.blocks if isinstance(own, Chart)]
    assert [own.title.rpartition("no longer: ")[2] for own in charts] == [
        "litert on this machine (host)",
        "litert on mypi (device)",
        "litert on q (emulated)",
    ]
    rows = table(found, "Milliseconds of one call").rows
    assert [row[1] for row in rows] == ["this machine (host)", "mypi (device)", "q (emulated)"]
    assert table(found, "Conditions").head[1:] == [row[1] for row in rows]
    assert not any("Differences" in getattr(own, "caption", "") for own in found.blocks)


def test_times_as_deployed_are_dashed_in_the_chart_of_the_others() -> None:
    paced = measured(4000, plan=replace(FULL, period_s=0.1, between="sleep"))
    found = latency.section(timed(measured(), paced))
    (chart,) = (own for own in found.blocks if isinstance(own, Chart))
    assert "demo, tflite 1.01 ms, demo, tflite, as deployed 4.01 ms" in chart.alt
    assert chart.note.endswith("As deployed, dashed: one call every 100 ms, sleep in between.")
    assert chart.wide.count("stroke-one") == 14, "of one file, so of one colour"
    assert chart.wide.count("stroke-dasharray") >= 2
    names = [row[0] for row in table(found, "Processes that count").rows]
    assert names == ["demo, tflite", "demo, tflite, as deployed"]
    assert not any("Differences" in getattr(own, "caption", "") for own in found.blocks)


def average(**changes: Any) -> AverageTiming:
    process = AverageProcess(50, 2e6, 1_900_000, 2_500_000, 10)
    hot = replace(process, discarded="the phone <throttles>")
    phone = Conditions(device="phone", threads=1, board="Pixel")
    own = AverageTiming(
        *(FILE, SHA, "whole", "litert", "benchmark_model", "cd" * 32, (process, hot), phone),
        *("device", FULL),
    )
    return replace(own, **changes)


def test_averages_of_a_phone_are_shown_as_such() -> None:
    found = latency.section(replace(timed(measured()), averages=(average(),)))
    (row,) = table(found, "Milliseconds of one call on a phone").rows
    assert row[:2] == ["demo, tflite", "phone (device)"]
    assert row[-2:] == ["1 of 2", "the phone <throttles>"]
    assert "no distribution" in repr(found.blocks)
    assert table(found, "Conditions").head[2] == "phone (device)"
    alone = replace(material(), averages=(average(),))
    blocks = latency.section(alone).blocks
    assert not any(isinstance(own, Chart | Missing) for own in blocks)
    assert all(own.rows for own in blocks if isinstance(own, Table))
    tiles = {tile.label: (tile.value, tile.note) for tile in page(alone).tiles}
    assert tiles["Mean time"] == ("2.00 ms", "benchmark_model, on the board")


def test_a_difference_has_its_interval_and_a_reason_where_it_has_no_verdict() -> None:
    rows = table(latency.section(two_bundles()), "Differences").rows
    assert rows[0][:2] == ["other, tflite", "demo, tflite"]
    assert str(rows[0][3]).startswith("1.99 (1.9")
    assert getattr(rows[0][4], "text", "") == "slower"
    few = replace(two_bundles(), taken=(Taken(measured()), Taken(few_processes())))
    found = table(latency.section(few), "Differences")
    assert found.head[-1] == "why"
    assert getattr(found.rows[0][4], "text", "") == "no verdict"


def few_processes() -> Measurement:
    whole = measured(model_sha256=OTHER)
    return replace(whole, processes=whole.processes[:2])


def test_without_measurements_both_name_the_command() -> None:
    (wanted,) = latency.section(material()).blocks
    assert isinstance(wanted, Missing)
    assert wanted.command == "tinyml bench demo"
    files, more = tradeoffs.section(material()).blocks
    assert isinstance(files, Table)
    assert "on a frontier" not in files.head
    assert isinstance(more, Missing)
    assert "OTHER_BUNDLE" in more.command
    tiles = {tile.label: tile.value for tile in page(material()).tiles}
    assert tiles["Median time"] == "not measured"


def test_the_key_figure_is_the_bundles_own_fastest_file() -> None:
    tiles = {tile.label: tile for tile in page(two_bundles(us=10)).tiles}
    assert (tiles["Median time"].value, tiles["Median time"].note) == (
        "1.01 ms",
        "litert, not on the board",
    )


@pytest.mark.parametrize(
    ("size", "us", "marks"),
    [(90_000, 2000, ["yes", "-"]), (20_000, 2000, ["yes", "yes"]), (20_000, 500, ["-", "yes"])],
)
def test_the_frontier(size: int, us: int, marks: list[str]) -> None:
    found = tradeoffs.section(two_bundles(size, us))
    every = table(found, "Every file")
    assert [getattr(row[-1], "text", row[-1]) for row in every.rows] == marks
    assert {row[-3] for row in every.rows} == {"this machine (host)"}
    (chart,) = (b for b in found.blocks if isinstance(b, Chart))
    assert "on the frontier of UAR over size" in chart.alt


def test_a_hardly_slower_file_is_not_dominated() -> None:
    files = [
        tradeoffs.TradeOff(name, 1000, accuracy, "UAR", us * 1e3, "litert")
        for name, accuracy, us in (("a", 0.9, 1000), ("b", 0.9, 1010), ("c", 0.9, 1200))
    ]
    best = tradeoffs._frontier(files, tradeoffs._Panel("median_ns", "accuracy"))
    assert [own.name for own in best] == ["a", "b"]


def test_an_axis_of_shares_has_no_ticks_above_one() -> None:
    perfect = [
        tradeoffs.TradeOff(name, size, accuracy, "UAR", None, "litert")
        for name, size, accuracy in (("a", 1000, 1.0), ("b", 2000, 0.9))
    ]
    figure = Figure()
    axes = figure.add_subplot()
    tradeoffs._scatter(axes, perfect, tradeoffs._Panel("size", "accuracy"))
    assert max(axes.get_yticks()) == 1
    assert axes.get_ylim()[1] > 1, "the mark at 1 is whole"


def discarded(m: Measurement, count: int = 2) -> Measurement:
    """``m`` with its first processes discarded."""
    lost = tuple(Discarded(own, "busy", "others <used> 40%") for own in m.processes[:count])
    return replace(m, processes=m.processes[count:], discarded=lost)


def test_discarded_processes_are_shown_with_their_reason() -> None:
    found = latency.section(timed(discarded(measured())))
    (chart,) = (b for b in found.blocks if isinstance(b, Chart))
    assert chart.wide.count("stroke-one") == 5
    assert chart.wide.count('stroke-dasharray="0.8') >= 2
    why = table(found, "2 processes discarded")
    assert why.rows[0] == ("demo, tflite", "this machine (host)", "litert", "others <used> 40%")
    assert table(found, "Processes that count").rows[0][3] == "3 of 5"


def with_cpu_times(m: Measurement, ns: int) -> Measurement:
    runs = tuple(replace(own, cpu_ns=tuple(ns for _ in own.samples_ns)) for own in m.processes)
    return replace(m, processes=runs)


def test_where_no_process_of_one_counts_all_have_cpu_times_and_say_so() -> None:
    lost = discarded(with_cpu_times(measured(), 500_000), 5)
    other = with_cpu_times(measured(2000, model="x.tflite", model_sha256=OTHER), 700_000)
    given = timed(lost, other)
    found = latency.section(given)
    rows = table(found, "Milliseconds of one call, of the first call and of loading (CPU").rows
    assert [row[4] for row in rows] == ["0.500", "0.700"]
    assert "Too busy: this machine (host)." in repr(found.blocks)
    tiles = {tile.label: tile.value for tile in page(given).tiles}
    assert tiles["Median time"] == "0.500 ms"
    without = latency.section(timed(lost, measured(2000, model="x.tflite", model_sha256=OTHER)))
    assert [row[4] for row in table(without, "Milliseconds of one call").rows] == ["-", "2.01"]


def test_cpu_times_of_a_busy_machine_do_not_spoil_those_of_a_board() -> None:
    lost = discarded(with_cpu_times(measured(), 500_000), 5)
    board = with_cpu_times(on("mypi", "device", 3000), 1_000_000)
    rows = table(latency.section(timed(lost, board)), "Milliseconds of one call").rows
    assert [row[3:5] for row in rows] == [("whole (CPU time)", "0.500"), ("whole", "3.01")]


def test_where_nothing_counts_at_all_there_is_no_figure() -> None:
    lost = discarded(measured(), 5)
    found = latency.section(timed(lost))
    assert table(found, "Milliseconds of one call").rows[0][4] == "-"
    (chart,) = (b for b in found.blocks if isinstance(b, Chart))
    assert "-" in chart.alt
    tiles = {tile.label: tile.value for tile in page(timed(lost)).tiles}
    assert tiles["Median time"] == "not measured"


def test_measurements_of_one_file_are_told_apart() -> None:
    two = replace(measured(), conditions=replace(measured().conditions, threads=2))
    bare = replace(two, delegate="none")
    rows = table(latency.section(timed(measured(), two, bare)), "Milliseconds of one call").rows
    assert [row[0] for row in rows] == [
        "demo, tflite, 1 thread",
        "demo, tflite, 2 threads",
        "demo, tflite, 2 threads, no delegate",
    ]
