"""Ranges are found once: kept by content, found again, made again when anything differs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tinyml.core import code_digest, files
from tinyml.core.errors import MachineError
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.quantization.ranges import Range
from tinyml.pipeline.model_sources.calibration import Calibration
from tinyml.pipeline.quantization import calibration_cache
from tinyml.pipeline.quantization.calibration_cache import cached, key

SIGNATURE = Signature((TensorSpec("x", (2,)),), (TensorSpec("y", (2,)),))
CONDITIONS: dict[str, str | int] = {"ranges": "mse", "threads": 1}
FOUND = {"a": Range(-0.1, 1 / 3), "b": Range(0.0, 1e-30)}


class Finder:
    """Counts how often ranges are looked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> dict[str, Range]:
        self.asked += 1
        return FOUND


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(files.CACHE_ENVIRONMENT, str(tmp_path / "cache"))
    (tmp_path / "m.tflite").write_bytes(b"a file")
    return tmp_path / "m.tflite"


def samples(value: float = 1.0) -> Calibration:
    return Calibration({"x": np.full((3, 2), value, np.float32)}, "given", SIGNATURE)


def silent(event: object) -> None:
    """No progress."""


def test_the_same_ranges_are_found_once_to_the_last_bit(file: Path) -> None:
    find, told = Finder(), list[str]()
    for _ in range(2):
        found = cached(file, samples(), CONDITIONS, find, lambda event: told.append(event.text))
        assert found == FOUND
    assert find.asked == 1
    (line,) = told
    assert line.startswith("tflite: ranges were found before")


def test_whatever_ranges_depend_on_changes_the_key(file: Path) -> None:
    first = key(file, samples(), CONDITIONS)
    assert key(file, samples(), CONDITIONS) == first
    others = [
        key(file, samples(2.0), CONDITIONS),
        key(file, samples(), {**CONDITIONS, "ranges": "entropy"}),
        key(file, samples(), {**CONDITIONS, "threads": 2}),
        key(file, Calibration({"z": np.ones((3, 2), np.float32)}, "given", SIGNATURE), CONDITIONS),
    ]
    file.write_bytes(b"another file")
    others.append(key(file, samples(), CONDITIONS))
    assert len({first, *others}) == 6


def test_changed_code_changes_the_key(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    for name in ("core/spec.py", "export/quantization/ranges.py", "cli/export.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("width = 1\n")
    monkeypatch.setattr(code_digest, "PACKAGE", package)

    def now() -> str:
        code_digest.code_digest.cache_clear()
        return key(file, samples(), CONDITIONS)

    first = now()
    (package / "cli" / "export.py").write_text("width = 2\n")
    assert now() == first
    (package / "export" / "quantization" / "ranges.py").write_text("width = 2\n")
    second = now()
    (package / "core" / "spec.py").write_text("width = 2\n")
    assert len({first, second, now()}) == 3
    code_digest.code_digest.cache_clear()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": [1]}', '{"a": ["x", 1]}', '{"a": null}'])
def test_an_entry_that_is_not_whole_is_made_again(file: Path, text: str) -> None:
    find = Finder()
    cached(file, samples(), CONDITIONS, find, silent)
    (entry,) = (files.cache_folder() / "calibration").glob("*.json")
    entry.write_text(text)
    assert cached(file, samples(), CONDITIONS, find, silent) == FOUND
    assert find.asked == 2
    assert json.loads(entry.read_text())["a"] == [-0.1, 1 / 3]


def test_a_cache_that_cannot_be_written_is_told_and_the_export_goes_on(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: object) -> None:
        raise MachineError("writing the entry: no space")

    monkeypatch.setattr(calibration_cache, "write_json", full)
    told: list[str] = []
    found = cached(file, samples(), CONDITIONS, Finder(), lambda event: told.append(event.text))
    assert found == FOUND
    assert told == ["the ranges are not kept for the next time: writing the entry: no space"]
