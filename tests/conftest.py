"""One small trained checkpoint and one bundle of it for the whole run, and the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Two threads beside any other load are tens of times slower than one; children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Also where the package is imported from a checkout without being installed.
pytest_plugins = ["tinyml.pytest_plugin"]

RECIPE = """\
model = "funnelnet"
seed = 3

[data]
set = "synthetic"
options = { persons = 18, recordings = 1, seconds = 9.0 }

[train]
epochs = 2
threshold_folds = 0
"""

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def tinyml(
    *arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "tinyml.cli.main", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )


IMAGES = """\
model = "mobilenet-v1"
seed = 3

[architecture]
width = 0.25
resolution = 32
stem_stride = 1

[data]
set = "shapes"
options = { limit = 24, test_limit = 6 }

[train]
epochs = 2
batch_size = 32
flip = true
shift = 2
"""


def _assert_all_is_read(bundle: Path) -> None:
    from stored_bytes import assert_all_is_read

    assert_all_is_read(bundle)


@pytest.fixture(scope="session", autouse=True)
def decoded_images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is cached where the user's own images are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYML_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder: a narrow MobileNet after two epochs on a handful of shapes."""
    folder = tmp_path_factory.mktemp("images")
    recipe = folder / "images.toml"
    recipe.write_text(IMAGES, encoding="utf-8")
    done = tinyml("train", recipe, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="session")
def image_bundle(image_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `image_run`."""
    out = tmp_path_factory.mktemp("bundles") / "images"
    done = tinyml("export", image_run, "--target", "rpi", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "60 of 60 images agree" in done.stdout
    _assert_all_is_read(out)
    return out


@pytest.fixture(scope="session")
def cli() -> Cli:
    return tinyml


@pytest.fixture(scope="session")
def recipe_text() -> str:
    return RECIPE


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder: FunnelNet after two epochs on a handful of synthetic persons."""
    folder = tmp_path_factory.mktemp("small")
    recipe = folder / "small.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    done = tinyml("train", recipe, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="session")
def small_bundle(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `small_run`; copy it before changing it."""
    out = tmp_path_factory.mktemp("bundles") / "small"
    done = tinyml("export", small_run, "--target", "rpi", "--out", out)
    assert done.returncode == 0, done.stderr
    _assert_all_is_read(out)
    return out


@pytest.fixture
def bundle_copy(small_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_bundle, tmp_path / "bundle"))
