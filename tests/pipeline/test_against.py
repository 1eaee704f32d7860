"""A benchmark against an older one: which measurement is whose baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_compare_latency import CONDITIONS, measured

from tinyml.core.files import write_json
from tinyml.core.measurement import Discarded, Measurement
from tinyml.core.typed_json import to_json
from tinyml.core.upgrade import SCHEMA
from tinyml.pipeline.against import against, verdicts
from tinyml.pipeline.bench import BenchFile, Benchmark


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"model")
    return path


def compared(model: Path, now: list[Measurement], before: list[Measurement], **own: Any) -> Any:
    file = BenchFile("host", tuple(before), (), ())
    write_json(model.with_name("old.json"), {"schema": SCHEMA, **to_json(file)})
    found = Benchmark(tuple(now), model.with_name("new.json"), (), **own)
    return verdicts(against(found, model.with_name("old.json")))


def test_the_baseline_is_of_the_same_runtime_and_threads(model: Path) -> None:
    two = replace(CONDITIONS, threads=2)
    now = [measured(model, 110), measured(model, 90, conditions=two)]
    before = [
        measured(model, 1, runtime="litert"),
        measured(model, 7, part="front end"),
        measured(model, 100, conditions=two),
        measured(model, 100),
    ]
    found = compared(model, now, before)
    assert {name: own.verdict for name, own in found.items()} == {
        "onnxruntime": "slower",
        "onnxruntime, 2 threads": "faster",
    }
    assert found["onnxruntime"].ratio == pytest.approx(1.1, rel=0.01)


def test_of_several_files_that_of_the_same_name_is_compared(model: Path) -> None:
    names = ("a.onnx", "b.onnx")
    now = [measured(model, us, model=name) for name, us in zip(names, (100, 200), strict=True)]
    found = compared(model, now, now[::-1])
    assert [own.ratio for own in found.values()] == [1, 1]
    assert list(found) == ["onnxruntime", "onnxruntime, b.onnx"]


def test_what_differs_or_lacks_has_no_verdict(model: Path) -> None:
    other = measured(model, 100, conditions=replace(CONDITIONS, governor="powersave"))
    found = compared(model, [measured(model, 100)], [other])
    assert "governor (powersave and performance)" in found["onnxruntime"].why
    found = compared(model, [measured(model, 100)], [measured(model, 100, runtime="litert")])
    assert found["onnxruntime"].why == "the baseline has no measurement in onnxruntime"


def test_cpu_times_are_compared_with_cpu_times(model: Path) -> None:
    def spoilt(us: int) -> Measurement:
        m = measured(model, us)
        own = [replace(p, cpu_ns=p.samples_ns, samples_ns=(10**9,)) for p in m.processes]
        left = tuple(Discarded(p, "busy", "other processes used 74% of this core") for p in own)
        return replace(m, processes=(), discarded=left)

    now, before = [spoilt(120)], [spoilt(100)]
    assert "machine too busy" in compared(model, now, before)["onnxruntime"].why
    found = compared(model, now, before, cpu_time=True)["onnxruntime"]
    assert (found.verdict, found.ratio) == ("slower", pytest.approx(1.2, rel=0.01))
