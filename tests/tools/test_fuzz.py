"""Broken manifests, checkpoints, recipes, references, benchmarks and arrays: never a traceback."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tinyml.core import bundle as bundles
from tinyml.core.errors import TinymlError

FUZZ = Path(__file__).parents[2] / "tools" / "fuzz"
NAMES = ("own_files", "mutate", "mutate_values", "seeds")
FILES = 150


@pytest.fixture(scope="module")
def tool() -> Iterator[dict[str, Any]]:
    sys.path.insert(0, str(FUZZ))
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.remove(str(FUZZ))
        for name in NAMES:
            sys.modules.pop(name, None)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_broken_file_of_ours_is_read_or_one_line(tool: dict[str, Any], tmp_path: Path) -> None:
    made = sorted(tool["own_files"].make(tmp_path))
    readers = tool["own_files"].READERS
    assert {path.stem for path in made} == set(readers)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for name in (bundles.CARD, bundles.LABELS):
        (scratch / name).write_bytes((tmp_path / name).read_bytes())
    for path in made:
        (scratch / f"{path.stem}-whole").write_bytes(path.read_bytes())
        assert readers[path.stem](scratch / f"{path.stem}-whole") is not None
    refusals = {}
    for number in range(FILES):
        name, data = tool["mutate"].mutated(made, 0, number)
        (scratch / name).write_bytes(data)
        try:
            readers[name.partition("-")[0]](scratch / name)
        except TinymlError as error:
            refusals[name] = error
    assert len(refusals) > FILES / 3
    for name, refusal in refusals.items():
        assert refusal.exit_code == 3, name
        assert str(scratch) in refusal.message, name
        assert "\n" not in refusal.message, name
