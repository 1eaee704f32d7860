"""Benchmarks of a folder: its JSON files are the truth, and a damaged one hides no other."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from test_compare_latency import measured

from tinyml.core.averages import AverageProcess, AverageTiming
from tinyml.core.errors import InputError
from tinyml.core.files import write_json
from tinyml.core.measurement import Conditions, Measurement
from tinyml.core.timing_plan import FULL
from tinyml.core.typed_json import to_json
from tinyml.core.upgrade import SCHEMA
from tinyml.pipeline.bench import BenchFile
from tinyml.pipeline.results import COLUMNS, read_results

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three benchmarks of one file, the last 20% slower; the names are not in the order of time."""
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    own = tmp_path / "results"
    for name, day, us in (("b", 1, 100), ("sub/a", 2, 101), ("c", 3, 121)):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        store(own / f"{name}.bench.json", f"2026-11-0{day}T10:00:00+00:00", measured(model, us))
    (own / "manifest.json").write_text("{}")
    return own


def store(path: Path, taken: str, *found: Measurement) -> None:
    file = BenchFile("host", tuple(replace(own, plan=FULL) for own in found), (), (), (), taken)
    write_json(path, {"schema": SCHEMA, **to_json(file)})


def test_files_are_found_below_a_folder_oldest_first(folder: Path, cli: Cli) -> None:
    found = read_results([folder, folder / "c.bench.json"])
    assert [own.path.name[0] for own in found.files] == ["b", "a", "c"]
    shown = cli("results", "list", folder)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [line.split()[1] for line in shown.stdout.splitlines()[2:]] == [
        f"2026-11-0{day}" for day in (1, 2, 3)
    ]
    here = cli("results", "list", cwd=folder)
    assert here.stdout.count("m.onnx (onnxruntime)") == 3
    assert len(json.loads(cli("results", "list", folder, "--json").stdout)) == 3


def test_history_compares_with_the_one_before(folder: Path, cli: Cli) -> None:
    entries = read_results([folder]).history()
    verdicts = [own.change.verdict if own.change else None for own in entries]
    assert verdicts == [None, "no difference shown", "slower"]
    shown = cli("results", "history", folder).stdout
    assert shown.startswith("m.onnx, whole, onnxruntime (host)\n")
    assert "slower" in shown


def test_the_history_of_cpu_times_leaves_out_files_without_them(folder: Path) -> None:
    assert read_results([folder]).history(cpu_time=True) == []


def test_show_prints_what_bench_printed(folder: Path, cli: Cli) -> None:
    shown = cli("results", "show", folder / "c.bench.json").stdout
    assert "c.bench.json, 2026-11-03 10:00: time of a call, ms" in shown
    assert "onnxruntime  whole  0.121" in shown


def test_export_has_a_row_for_each_measurement(folder: Path, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    assert cli("results", "export", folder, "--csv", out).returncode == 0
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [float(row["p50_ns"]) for row in rows] == [100_034.5, 101_034.5, 121_034.5]
    assert {(row["runtime"], row["threads"], row["p99_ns"]) for row in rows} == {
        ("onnxruntime", "1", "")
    }
    assert cli("results", "export", folder).stdout == out.read_text()


def test_a_damaged_file_among_good_ones_is_named_after_them(folder: Path, cli: Cli) -> None:
    for name, text in (("cut", '{"schema": 2, "meas'), ("list", "[]")):
        (folder / f"{name}.bench.json").write_text(text)
    done = cli("results", "history", folder)
    assert done.returncode == 3
    assert done.stdout.count("bench.json") == 3
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert f"{folder / 'cut.bench.json'} is not what tinyml bench writes" in errors[0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("lists",), 2, "'lists' is not one of list, show, history, export"),
        (("list", ".", "--csv", "a.csv"), 2, "--csv belongs to export"),
        (("list", "nowhere"), 3, "no such file or directory: nowhere"),
        (("list",), 3, "no *.bench.json in ."),
    ],
)
def test_what_does_not_exist_is_named(
    arguments: tuple[str, ...], code: int, words: str, cli: Cli, tmp_path: Path
) -> None:
    done = cli("results", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \*\.bench\.json"):
        read_results([tmp_path])


def test_another_device_is_another_kind(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    for day, device in enumerate(("mypi", "zero", "mypi")):
        own = measured(model, 100)
        own = replace(own, label="device", conditions=replace(own.conditions, device=device))
        store(tmp_path / f"{day}.bench.json", f"2026-11-0{day + 1}T10:00:00+00:00", own)
    entries = read_results([tmp_path]).history()
    assert [own.change is None for own in entries] == [True, False, True]
    rows = list(csv.DictReader(read_results([tmp_path]).csv().splitlines()))
    assert [row["device"] for row in rows] == ["mypi", "zero", "mypi"]


def test_averages_of_a_phone_are_listed_and_exported_but_have_no_history(
    folder: Path, cli: Cli
) -> None:
    phone = AverageTiming(
        *("m.tflite", "ab" * 32, "whole", "litert", "benchmark_model", "cd" * 32),
        processes=(AverageProcess(50, 2e6, 1_900_000, 2_500_000, 10),),
        conditions=Conditions(device="phone", threads=4),
        label="device",
        plan=FULL,
    )
    file = BenchFile("device", (), (), (), averages=(phone,))
    write_json(folder / "b.phone.bench.json", {"schema": SCHEMA, **to_json(file)})
    assert "m.tflite (litert)" in cli("results", "list", folder).stdout
    row = next(csv.DictReader(cli("results", "export", folder).stdout.splitlines()))
    assert (row["device"], row["mean_ns"], row["min_ns"]) == ("phone", "2000000.0", "1900000")
    assert (row["p50_ns"], row["processes"], row["discarded"]) == ("", "1", "0")
    done = cli("results", "history", folder)
    assert "m.tflite" not in done.stdout
    assert "averages of phones left out: 1;" in done.stderr
