from __future__ import annotations

from pathlib import Path

import pytest
from relu_file import relu_file


@pytest.fixture
def relu(tmp_path: Path) -> Path:
    """A model file for the machines of links."""
    return relu_file(tmp_path)
