"""The examples run as they are written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tinyml.core import bundle as bundles

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_the_keyword_spotter_goes_from_module_to_bundle_to_answer(tmp_path: Path) -> None:
    script = EXAMPLES / "keyword_spotting.py"
    lines = [line for line in script.read_text().splitlines() if line.strip()]
    assert len(lines) <= 45
    command = [sys.executable, str(script), str(tmp_path / "kws")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    bundle = bundles.read(tmp_path / "kws")
    assert {m.engine for m in bundle.parity.metrics} >= {"pytorch", "litert+xnnpack"}
    assert all(m.value > 0.9 for m in bundle.parity.metrics)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["labels"]["scores"] in ("rising", "falling", "noise")
