"""One whole run of the small network."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_training import (
    DATA,
    RECIPE,
    SMALL,
    quiet,
)

from tinyml.models.training.recordings import train


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(SMALL, RECIPE, DATA, folder, quiet)
    return folder
