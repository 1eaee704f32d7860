"""A report from files: what is found, what is refused in one line, and nothing half written."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Done
from test_compare_latency import measured
from two_files import FLOATS, INTEGERS, write_bundle

from tinyml.core.averages import AverageProcess, AverageTiming
from tinyml.core.bundle import read
from tinyml.core.files import write_json
from tinyml.core.measurement import Conditions
from tinyml.core.timing_plan import FULL
from tinyml.core.typed_json import to_json
from tinyml.core.upgrade import SCHEMA
from tinyml.pipeline.bench import BenchFile

Cli = Callable[..., Done]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "a", FLOATS)


def test_it_is_written_next_to_the_bundle_and_can_be_written_again(bundle: Path, cli: Cli) -> None:
    done = cli("report", bundle)
    path = bundle.parent / "a.report.html"
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    first = path.read_text("utf-8")
    assert first.startswith("<!doctype html>")
    assert cli("report", bundle, "--json").returncode == 0
    assert path.read_text("utf-8") == first
    assert sorted(os.listdir(bundle.parent)) == ["a", "a.report.html"]


def test_other_bundles_are_named_and_quoted_in_commands(bundle: Path, cli: Cli) -> None:
    other = write_bundle(bundle.parent / "b <i> c", INTEGERS)
    out = bundle.parent / "both.html"
    assert json.loads(cli("report", bundle, other, "-o", out, "--json").stdout) == {
        "report": str(out)
    }
    text = out.read_text("utf-8")
    assert "tinyml compare a &#39;b &lt;i&gt; c&#39; --bench" in text
    assert "<i>" not in text


def test_what_devices_gave_lies_next_to_the_bundle_and_is_found(bundle: Path, cli: Cli) -> None:
    model = next(iter(read(bundle).models))
    phone = AverageTiming(
        *(model.path, model.sha256, "whole", "litert", "benchmark_model", "cd" * 32),
        processes=(AverageProcess(50, 2e6, 1_900_000, 2_500_000, 10),),
        conditions=Conditions(device="phone", threads=1),
        label="device",
        plan=FULL,
    )
    board = replace(
        measured(bundle / model.path, 500),
        model_sha256=model.sha256,
        label="device",
        conditions=Conditions(device="mypi", threads=1),
    )
    for name, *found in (("phone", (), (phone,)), ("mypi", (board,), ())):
        measurements, averages = found
        file = BenchFile("device", measurements, (), (), averages=averages)
        path = bundle.parent / f"a.{name}.bench.json"
        write_json(path, {"schema": SCHEMA, **to_json(file)})
    text = written(cli, bundle)
    assert "Milliseconds of one call on a phone: averages" in text
    assert text.count("phone (device)") > 1
    assert text.count("mypi (device)") > 1
    other = write_bundle(bundle.parent / "b", INTEGERS)
    assert "mypi" not in written(cli, other)


def written(cli: Cli, bundle: Path) -> str:
    done = cli("report", bundle)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip()).read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere",), 3, "error: no such file or directory: nowhere"),
        (("empty",), 3, "error: empty is not a bundle"),
        (("a", "nowhere.json"), 3, "error: no such file or directory: nowhere.json"),
        (("a", "broken.json"), 3, "error: broken.json is not what tinyml bench writes"),
        (("a", "-o", "a/report.html"), 2, "lies in the bundle"),
        (("a", "-o", "empty"), 2, "not a regular file"),
        (
            ("changed",),
            5,
            "error: changed is not the bundle that was written: net.onnx was changed",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line_and_an_exit_code(
    bundle: Path, cli: Cli, arguments: tuple[str, ...], code: int, words: str
) -> None:
    folder = bundle.parent
    (folder / "empty").mkdir()
    (folder / "broken.json").write_text('{"label": 3', encoding="utf-8")
    changed = write_bundle(folder / "changed", FLOATS)
    (changed / "net.onnx").write_bytes(b"x" * (changed / "net.onnx").stat().st_size)
    before = sorted(os.listdir(folder))
    done = cli("report", *arguments, cwd=folder)
    assert done.returncode == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert sorted(os.listdir(folder)) == before


def test_a_full_disk_leaves_the_old_report(
    bundle: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle.parent / "a.report.html"
    path.write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = cli("report", bundle)
    assert done.returncode == 1
    assert re.match(r"error: writing a.report.html: no space left in .*\nhint: ", done.stderr)
    assert path.read_text("utf-8") == "old"
    assert sorted(os.listdir(bundle.parent)) == ["a", "a.report.html"]


def test_without_its_extra_it_names_it(
    bundle: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "jinja2" else found(name, *more),
    )
    done = cli("report", bundle)
    assert done.returncode == 1
    assert "jinja2 is not installed" in done.stderr
    assert "pip install 'tinyml-deploy[report]'" in done.stderr


def test_bench_and_compare_write_it_and_leave_stdout_alone(bundle: Path, cli: Cli) -> None:
    folder = bundle.parent
    quick = ("--quick", "--repeats", "1", "--json")
    done = cli("bench", bundle, *quick, "--report", folder / "bench.html")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["measurements"]
    assert f"report: {folder / 'bench.html'}" in done.stderr
    assert "Milliseconds of one call" in (folder / "bench.html").read_text("utf-8")
    other = write_bundle(folder / "b", INTEGERS)
    done = cli("compare", bundle, other, "--json", "--report", folder / "c.html")
    assert json.loads(done.stdout)["files"]
    assert "Compared with 1 other bundle" in (folder / "c.html").read_text("utf-8")


def test_with_the_data_of_recordings(small_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "r.html"
    done = cli("report", small_bundle, "--data", "auto", "-o", out)
    assert done.returncode == 0, done.stderr
    text = out.read_text("utf-8")
    evaluated = json.loads(cli("eval", small_bundle, "--json").stdout)["metrics"]
    assert f"{evaluated['uar']:.3f} (" in text
    assert "<audio" in text
    assert "Scalogram: power at" in text


def test_with_the_data_of_images(image_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "r.html"
    done = cli("report", image_bundle, "--data", "auto", "-o", out)
    assert done.returncode == 0, done.stderr
    text = out.read_text("utf-8")
    evaluated = json.loads(cli("eval", image_bundle, "--json").stdout)["metrics"]
    low, high = evaluated["interval"]
    assert f"{evaluated['accuracy']:.3f} ({low:.3f} to {high:.3f})" in text
    assert text.count("<img ") > 12


def test_data_that_cannot_be_used(
    bundle: Path, small_bundle: Path, tmp_path: Path, cli: Cli
) -> None:
    done = cli("report", bundle, "--data", "auto")
    assert done.returncode == 3
    assert "does not record which data it was trained on" in done.stderr
    done = cli("report", small_bundle, "--data", tmp_path, "-o", tmp_path / "r.html")
    assert done.returncode == 2
    assert "generated: it takes no --data" in done.stderr
    assert not (tmp_path / "r.html").exists()
