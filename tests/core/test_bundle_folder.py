"""A bundle is known by its own manifest; nothing but an export writes into one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from short_timing import short

from tinyml.core.bundle_folder import bundle_around, check_outside, foreign_files
from tinyml.core.device import Device
from tinyml.core.errors import UsageError
from tinyml.core.export_job import export_job
from tinyml.models.training.run import owned_folder
from tinyml.pipeline import export
from tinyml.pipeline.bench import all_beside, bench, beside
from tinyml.pipeline.predict import predict
from tinyml.pipeline.scale import ScaleJob
from tinyml.pipeline.scale import run as run_scale


def bundle(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.py").touch()
    manifest = {"schema": 1, "models": [], "files": {"run.py": {}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_only_what_the_manifest_lists_is_ours(tmp_path: Path) -> None:
    own = bundle(tmp_path / "own")
    assert foreign_files(own) == []
    (own / ".git").mkdir()
    (own / ".git" / "HEAD").touch()
    (own / "link").symlink_to(tmp_path)
    assert foreign_files(own) == [".git/HEAD", "link"]


@pytest.mark.parametrize("text", ["", "[]", '{"name": "a web page"}', '{"schema": "1"}'])
def test_another_programs_manifest_makes_no_bundle(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "notes.txt").touch()
    assert foreign_files(tmp_path) == ["manifest.json", "notes.txt"]
    check_outside(tmp_path / "x.json")


def test_no_command_writes_at_any_level_of_a_bundle(tmp_path: Path) -> None:
    own = bundle(tmp_path / "own")
    (tmp_path / "link").symlink_to(own)
    deep = own / "sub" / "deep" / "x"
    for place in (own / "x", deep, tmp_path / "link" / "x", tmp_path / "own" / ".." / "own" / "x"):
        with pytest.raises(UsageError, match="lies in the bundle"):
            bench(own, timing=short(1, 1), out=place, report=lambda _: None)
    with pytest.raises(UsageError, match="lies in the bundle"):
        predict(own, [], plot=deep, runtime=None)
    with pytest.raises(UsageError, match="lies in the bundle"):
        run_scale(ScaleJob(fit=tmp_path / "points.csv", plot=deep))
    for place in (own, own / "run"):
        with pytest.raises(UsageError, match="lies in the bundle"), owned_folder(place):
            pass
    assert sorted(p.name for p in own.rglob("*")) == ["manifest.json", "run.py"]


def test_an_export_replaces_bundles_only_and_writes_into_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "checked", lambda job, source, settings: None)
    own = bundle(tmp_path / "own")
    (tmp_path / "thesis.md").touch()
    refused = [
        (export_job("net", "rpi", own), "--force to replace it"),
        (export_job("net", "rpi", tmp_path, force=True), "did not write: own, thesis.md"),
        (export_job("net", "rpi", own / "inner"), "lies in the bundle"),
        (
            export_job("net", "rpi", tmp_path / "new", keep_failed=own / "kept"),
            "lies in the bundle",
        ),
    ]
    source: Any = None
    for job, words in refused:
        with pytest.raises(UsageError) as caught:
            export.bundle_from(job, source, job.settings, lambda _: None)
        assert words in f"{caught.value.message}; {caught.value.hint}"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own", "thesis.md"]


def test_a_benchmark_of_a_file_in_a_bundle_lies_next_to_the_bundle(tmp_path: Path) -> None:
    own = bundle(tmp_path / "own")
    assert beside(own / "sub" / "a.onnx") == tmp_path / "own.sub.a.onnx.bench.json"
    assert beside(own) == tmp_path / "own.bench.json"
    assert bundle_around(own) is None


def test_a_benchmark_of_a_board_has_its_name(tmp_path: Path) -> None:
    pi = Device(name="mypi", link="ssh", address="pi")
    assert beside(tmp_path / "a.onnx", pi) == tmp_path / "a.onnx.mypi.bench.json"
    for name in ("a.onnx.mypi", "a.onnx", "a.onnx.lab.2", "b"):
        (tmp_path / f"{name}.bench.json").write_text("{}")
    (tmp_path / "a.onnx.mypi.bench.json.old").write_text("{}")
    found = [own.name.removesuffix(".bench.json") for own in all_beside(tmp_path / "a.onnx")]
    assert found == ["a.onnx", "a.onnx.lab.2", "a.onnx.mypi"]
