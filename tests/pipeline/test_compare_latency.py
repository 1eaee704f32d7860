"""Times of two sides: found beside them or taken in turns, and never compared when unlike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from short_timing import short
from two_files import FLOATS, INTEGERS, write_bundle, write_onnx

from tinyml.core.errors import DeviceError, InputError, ValidationError
from tinyml.core.files import sha256, write_json
from tinyml.core.measurement import Conditions, Measurement, Process
from tinyml.core.timing_plan import FULL, QUICK
from tinyml.core.typed_json import to_json
from tinyml.device.measure import Job, JobResult
from tinyml.pipeline import compare_latency
from tinyml.pipeline.bench import BenchFile
from tinyml.pipeline.compare import Comparison, compare
from tinyml.pipeline.compare_latency import LatencyPair
from tinyml.pipeline.compare_text import sections

CONDITIONS = Conditions(device="this machine", threads=1, governor="performance")


def silent(_: object) -> None:
    """Nobody listens."""


def measured(path: Path, us: int, **changes: Any) -> Measurement:
    """Seven processes of ten calls."""
    runs = tuple(
        Process(tuple(1000 * us + 10 * turn + call for call in range(10)), 10, 1, 1, None)
        for turn in range(7)
    )
    whole = Measurement(
        path.name, sha256(path), "whole", "onnxruntime", "1.32", runs, CONDITIONS, "host"
    )
    return replace(whole, **changes)


def left(beside: Path, *found: Measurement) -> None:
    """What `tinyml bench` would have left beside a bundle or a file."""
    write_json(Path(f"{beside}.bench.json"), to_json(BenchFile("host", found, (), ())))


def latency(a: Path, b: Path) -> LatencyPair:
    (pair,) = compare(a, b, None, silent).latency
    return pair


def said(found: Comparison) -> str:
    (part,) = (own for own in sections(found) if own.title.startswith("latency"))
    return "\n".join([part.title, *(" ".join(map(str, own)) for own in part.rows), *part.lines])


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A bundle in floats and one in integers."""
    floats = write_bundle(tmp_path / "floats", FLOATS)
    return floats, write_bundle(tmp_path / "integers", INTEGERS, "w8a8-static")


def test_what_was_measured_alike_has_a_verdict(pair: tuple[Path, Path]) -> None:
    a, b = pair
    left(a, measured(a / "net.onnx", 100))
    left(b, measured(b / "net.onnx", 60))
    found = latency(a, b)
    assert found.result.verdict == "faster"
    assert found.result.ratio == pytest.approx(0.6, rel=0.01)
    assert latency(b, a).result.verdict == "slower"
    text = said(compare(a, b, None, silent))
    assert "onnxruntime 1.32 0.100 0.060 0.600" in text
    assert text.endswith("faster")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"governor": "powersave"}, "governor (performance and powersave)"),
        ({"threads": 4}, "threads (1 and 4)"),
        ({"device": "rpi4"}, "device (this machine and rpi4)"),
    ],
)
def test_what_was_measured_otherwise_has_none_and_the_difference_is_named(
    pair: tuple[Path, Path], changes: dict[str, Any], why: str
) -> None:
    a, b = pair
    left(a, measured(a / "net.onnx", 100))
    left(b, measured(b / "net.onnx", 60, conditions=replace(CONDITIONS, **changes)))
    assert latency(a, b).result.verdict == "no verdict"
    text = said(compare(a, b, None, silent))
    assert f"no verdict: they differ in {why}" in text
    assert "0.600" not in text


def test_warm_calls_are_never_compared_with_calls_as_deployed(pair: tuple[Path, Path]) -> None:
    a, b = pair
    paced = replace(FULL, period_s=0.1, between="sleep")
    for side, us in ((a, 100), (b, 60)):
        path = side / "net.onnx"
        left(side, measured(path, us, plan=FULL), measured(path, 4 * us, plan=paced))
    found = compare(a, b, None, silent)
    assert [own.result.ratio for own in found.latency] == pytest.approx([0.6, 0.6], rel=0.01)
    assert "onnxruntime 1.32, as deployed 0.400 0.240 0.600" in said(found)
    left(b, measured(b / "net.onnx", 60, plan=paced))
    left(a, measured(a / "net.onnx", 100, plan=FULL))
    assert "period_s (None and 0.1)" in latency(a, b).result.why


def test_a_quick_comparison_says_so(pair: tuple[Path, Path]) -> None:
    for side, us in zip(pair, (100, 60), strict=True):
        left(side, measured(side / "net.onnx", us, plan=QUICK))
    assert "quick: a first look" in said(compare(*pair, None, silent))


def test_a_side_that_was_not_measured_is_named(pair: tuple[Path, Path]) -> None:
    a, b = pair
    assert said(compare(a, b, None, silent)).startswith("latency: not measured\ntinyml bench")
    left(a, measured(a / "net.onnx", 100))
    assert latency(a, b).result.why == "B's net.onnx was not measured"
    text = said(compare(a, b, None, silent))
    assert "onnxruntime 1.32 0.100 -" in text
    assert "tinyml compare --bench" in text


def test_a_measurement_of_other_bytes_does_not_count(pair: tuple[Path, Path]) -> None:
    a, b = pair
    left(a, measured(a / "net.onnx", 100))
    left(b, measured(a / "net.onnx", 60))
    found = latency(a, b)
    assert found.b is None
    assert found.result.why == "B's net.onnx as it is now is not among what was measured"


def test_the_front_end_alone_is_not_the_whole(pair: tuple[Path, Path]) -> None:
    a, b = pair
    left(a, measured(a / "net.onnx", 100), measured(a / "net.onnx", 10, part="front end"))
    left(b, measured(b / "net.onnx", 60, part="front end"))
    assert latency(a, b).b is None


def test_a_file_of_a_bundle_has_the_times_of_its_bundle(pair: tuple[Path, Path]) -> None:
    a, b = pair
    left(a, measured(a / "net.onnx", 100))
    left(b, measured(b / "net.onnx", 60))
    assert latency(a / "net.onnx", b).result.verdict == "faster"


def test_measurements_in_different_runtimes_of_one_format_are_not_paired(
    pair: tuple[Path, Path],
) -> None:
    a, b = pair
    left(a, measured(a / "net.onnx", 100))
    left(b, measured(b / "net.onnx", 60, runtime="native"))
    assert latency(a, b).result.why == "they were measured in different runtimes"


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        "[]",
        '{"measurements": [{"model": "net.onnx"}]}',
        '{"measurements": 3}',
        "zero",
        "words",
    ],
)
def test_a_benchmark_that_is_none_is_refused(pair: tuple[Path, Path], broken: str) -> None:
    a, b = pair
    left(a, measured(a / "net.onnx", 100))
    path = Path(f"{a}.bench.json")
    data = json.loads(path.read_text())
    spoilt = {"zero": [0], "words": ["fast"]}
    if broken in spoilt:
        data["measurements"][0]["processes"][0]["samples_ns"] = spoilt[broken]
        broken = json.dumps(data)
    path.write_text(broken)
    with pytest.raises(InputError, match=r"floats\.bench\.json is not what tinyml bench writes"):
        latency(a, b)


@pytest.mark.usefixtures("without_optional_engines")
def test_both_are_timed_in_turns_on_the_same_inputs(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file alone would be timed on noise; here the bundle's own inputs are taken for both."""
    seen: list[Job] = []

    def measure(_link: Any, jobs: Sequence[Job], repeats: int, **_: Any) -> list[JobResult]:
        seen.extend(jobs)
        return [JobResult(measured(job.path, 100 - place)) for place, job in enumerate(jobs)]

    monkeypatch.setattr(compare_latency, "measure", measure)
    left(pair[0], measured(pair[0] / "net.onnx", 1))
    file = write_onnx(tmp_path / "own.onnx", INTEGERS)
    for a, b in ((pair[0], file), (file, pair[0])):
        seen.clear()
        found = compare(a, b, short(), silent)
        assert len(seen) == 2
        for job in seen:
            np.testing.assert_array_equal(job.inputs["x"], np.ones((1, 4), np.float32))
        (row,) = found.latency
        assert row.a is not None
        assert row.b is not None
        assert (row.a.model_sha256, row.b.model_sha256) == tuple(
            own.sha256 for own in (found.files[0].a, found.files[0].b)
        )
        assert row.a.p50_ns > 90_000  # Not what lies beside it.


@pytest.mark.usefixtures("quiet_machine", "without_optional_engines")
def test_timed_for_real_a_file_is_not_faster_than_itself(pair: tuple[Path, Path]) -> None:
    a, _ = pair
    events: list[Any] = []
    found = compare(a, a, short(5, 3), events.append)
    (row,) = found.latency
    assert row.a is not None
    assert row.b is not None
    count = len(row.a.processes)
    assert len(row.b.processes) == count
    assert 5 <= count <= 10, "more where these few calls differ by chance"
    assert row.a.samples_ns != row.b.samples_ns
    assert row.result.low is not None
    assert events[-1].total == 2 * count
    assert not Path(f"{a}.bench.json").exists()


@pytest.mark.usefixtures("without_optional_engines")
@pytest.mark.parametrize(
    ("percent", "most", "asked"),
    [((107, 100), 0.05, True), ((165, 162), 0.05, False), ((165, 162), 0.63, True)],
)
def test_more_turns_are_asked_for_while_a_difference_is_not_sure(
    percent: tuple[int, int],
    most: float,
    asked: bool,
    pair: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B takes that many percent of A's time, in even and in odd turns."""
    answers: list[bool] = []

    def measure(_link: Any, jobs: Sequence[Job], *_: Any, **options: Any) -> list[JobResult]:
        a, b = (measured(job.path, 100) for job in jobs)
        processes = tuple(
            replace(own, samples_ns=tuple(ns * percent[turn % 2] // 100 for ns in own.samples_ns))
            for turn, own in enumerate(b.processes)
        )
        results = [JobResult(a), JobResult(replace(b, processes=processes))]
        answers.append(options["undecided"](results))
        return results

    monkeypatch.setattr(compare_latency, "measure", measure)
    compare(*pair, short(), silent, most=most)
    assert answers == [asked]


@pytest.mark.usefixtures("without_optional_engines")
def test_a_side_that_fails_is_named_and_has_no_verdict(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    died = DeviceError("net.onnx, whole, onnxruntime: the process was killed by signal 11")

    def measure(_link: Any, jobs: Sequence[Job], repeats: int, **_: Any) -> list[JobResult]:
        return [JobResult(measured(jobs[0].path, 100)), JobResult(None, died)]

    monkeypatch.setattr(compare_latency, "measure", measure)
    found = compare(a, b, short(), silent)
    assert found.latency[0].result.why == "B's net.onnx was not measured"
    assert died.message in found.notes
    monkeypatch.setattr(
        compare_latency, "measure", lambda _, jobs, *__, **___: [JobResult(None, died)] * 2
    )
    with pytest.raises(DeviceError, match="killed by signal 11"):
        compare(a, b, short(), silent)


def test_a_changed_bundle_is_not_timed(pair: tuple[Path, Path]) -> None:
    a, b = pair
    write_onnx(b / "net.onnx", FLOATS)
    with pytest.raises(ValidationError, match=r"net\.onnx was changed"):
        compare(a, b, short(), silent)


def on(device: str, found: Measurement) -> Measurement:
    conditions = replace(found.conditions, device=device)
    return replace(found, conditions=conditions, label="device")


def test_each_device_is_compared_with_itself(pair: tuple[Path, Path]) -> None:
    for folder, us in zip(pair, (100, 50), strict=True):
        own = measured(folder / "net.onnx", us)
        left(folder, own)
        left(folder.with_name(f"{folder.name}.mypi"), on("mypi", own))
    a, b = pair
    left(a.with_name(f"{a.name}.zero"), on("zero", measured(a / "net.onnx", 3000)))
    found = compare(a, b, None, silent)
    assert [own.result.verdict for own in found.latency] == ["faster", "faster"]
    sides = [side for own in found.latency for side in (own.a, own.b) if side is not None]
    assert [side.conditions.device for side in sides] == ["this machine"] * 2 + ["mypi"] * 2
    assert "onnxruntime 1.32, mypi" in said(found)
