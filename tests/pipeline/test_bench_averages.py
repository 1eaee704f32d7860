"""A phone is timed by LiteRT's program; what it cannot give is named and not made up."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from device_faults import record
from own_link import use_link
from phones import ShellPhone, benchmark_model, shell_phone
from short_timing import short
from tiny_files import onnx_file, single

from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, InputError
from tinyml.core.events import silent
from tinyml.device.measure import Job
from tinyml.pages.tables import Section
from tinyml.pipeline.against import against
from tinyml.pipeline.bench import bench, read_benchmark
from tinyml.pipeline.bench_averages import for_phone, program_for
from tinyml.pipeline.bench_jobs import JobList
from tinyml.pipeline.bench_text import sections
from tinyml.pipeline.compare import compare
from tinyml.pipeline.devices.lock_store import ShellLock
from tinyml.pipeline.results import read_results
from tinyml.pipeline.results_text import history_sections, list_section, show_sections

PIXEL = Device(name="pixel", link="adb", address="0123", target="android")
RELU = "m (float[1, 4] x) => (float[1, 4] y) { y = Relu(x) }"


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShellPhone:
    """What the link ``adb`` opens."""
    own = shell_phone(tmp_path / "phone")
    use_link(monkeypatch, "adb", lambda _: nullcontext(own.link))
    lock = ShellLock(own.link, f"{own.state}/lock")
    monkeypatch.setattr("tinyml.pipeline.devices.lock.lock_of", lambda *_: lock)
    return own


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return single(tmp_path / "relu.tflite", "RELU")


def text(found: list[Section]) -> str:
    return "\n".join(str(part) for own in found for part in (own.title, *own.rows, *own.lines))


@pytest.mark.usefixtures("phone")
def test_a_file_is_timed_and_its_averages_are_stored_and_shown(model: Path) -> None:
    timing = short(2, 20, device=PIXEL, benchmark_model=benchmark_model())
    found = bench(model, timing=timing, out=None, report=silent)
    assert found.path.name == "relu.tflite.pixel.bench.json"
    assert (found.label, found.measurements, found.failed) == ("emulated", (), ())
    (own,) = found.averages
    assert own.conditions.device == "pixel"

    stored = read_benchmark(found.path)
    assert stored.averages == found.averages
    assert "samples_ns" not in found.path.read_text()
    shown = text(sections(found))
    for words in (
        "mean time of a call",
        "2 of 2",
        "no percentiles and no verdict",
        "prints no outputs, so none were compared",
        "Emulated Phone, EM-76",
        f"benchmark_model {own.program_sha256[:12]}",
        "thermal status at most 0 (none), battery 81% at 28 °C, charging; battery saver off",
    ):
        assert words in shown

    results = read_results([found.path])
    assert "relu.tflite (litert)" in text([list_section(results)])
    assert "no verdict" in text(show_sections(results.files[0], cpu_time=False))
    assert history_sections(results.history()) == []
    with pytest.raises(DeviceError, match="holds averages of benchmark_model: no verdict"):
        against(found, found.path)
    notes = compare(model, model, None, silent).notes
    assert "A was timed on a phone: averages give no verdict" in notes


def test_unknown_conditions_and_discarded_processes_are_shown(
    phone: ShellPhone, model: Path
) -> None:
    phone.set("settings/low_power", 1)
    for name in ("thermal", "battery"):
        (phone.state / name).unlink()
    timing = short(1, 20, device=PIXEL, benchmark_model=benchmark_model())
    shown = text(sections(bench(model, timing=timing, out=None, report=silent)))
    assert "relu.tflite: 2 of 2 processes discarded: the battery saver is on" in shown
    assert "thermal status at most unknown, battery unknown; battery saver on" in shown
    assert "'-', '-', '-', '-', '0 of 2', '0'" in shown


def test_strict_refuses_a_phone_that_is_not_quiet(phone: ShellPhone, model: Path) -> None:
    phone.set("thermal", 1)
    timing = short(1, 20, device=PIXEL, benchmark_model=benchmark_model())
    with pytest.raises(DeviceError, match=r"pixel is not quiet: its thermal status is 1") as got:
        bench(model, timing=timing, out=None, report=silent, strict=True)
    assert phone.read("lock") in (None, "", "{}")
    record(
        "preparing the board",
        "--strict, and the phone throttles (Android)",
        got.value,
        board="nothing",
        host="nothing",
    )


def test_without_the_program_nothing_is_pushed_and_the_hint_tells_where_it_is_from() -> None:
    with pytest.raises(DeviceError, match=r"pixel has no Python.*--benchmark-model PATH") as got:
        bench(Path("any"), timing=short(device=PIXEL), out=Path("out.json"), report=silent)
    assert "android_aarch64_benchmark_model" in got.value.hint
    fault = "no --benchmark-model (Android)"
    record("preparing the board", fault, got.value, board="nothing", host="nothing")


def test_what_averages_cannot_answer_is_refused_before(tmp_path: Path) -> None:
    timing = short(device=PIXEL, benchmark_model=benchmark_model())
    with pytest.raises(DeviceError, match="CPU times are not supported on Android"):
        program_for(timing, cpu_time=True)
    with pytest.raises(DeviceError, match="no verdict on Android"):
        program_for(timing, cpu_time=False, verdict=True)
    with pytest.raises(DeviceError, match="evict is not supported"):
        program_for(replace(timing, period_s=1.0, between="evict"), cpu_time=False)
    with pytest.raises(InputError, match="no such file, or an empty one"):
        program_for(replace(timing, benchmark_model=tmp_path / "gone"), cpu_time=False)
    assert program_for(short(), cpu_time=True) is None


def test_other_formats_are_skipped_by_name(tmp_path: Path) -> None:
    inputs = {"x": np.zeros(1, np.float32)}
    jobs = (Job(Path("a.tflite"), "litert", inputs), Job(Path("a.onnx"), "onnxruntime", inputs))
    found = for_phone(JobList(jobs))
    assert [job.path.name for job in found.jobs] == ["a.tflite"]
    assert found.skipped == ("a.onnx: onnxruntime is not supported on Android yet",)


@pytest.mark.usefixtures("phone")
def test_a_model_without_a_tflite_file_is_a_device_error(tmp_path: Path) -> None:
    model = onnx_file(tmp_path / "relu.onnx", RELU)
    timing = short(device=PIXEL, benchmark_model=benchmark_model())
    with pytest.raises(DeviceError, match=r"no \.tflite file to time") as got:
        bench(model, timing=timing, out=None, report=silent)
    assert "--formats tflite" in got.value.hint
