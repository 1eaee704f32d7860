"""One small trained checkpoint and one bundle of it for the whole run, and the command line."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Done, tinyml, tinyml_process
from shared_folder import shared_folder
from small_recipes import IMAGES, SOUNDS
from warm_worker import WarmWorker, end

# Two threads beside any other load are tens of times slower than one; children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Also where the package is imported from a checkout without being installed.
pytest_plugins = ["boards", "fake_board", "tinyml.pytest_plugin"]

Cli = Callable[..., Done]


def _assert_all_is_read(bundle: Path) -> None:
    from stored_bytes import assert_all_is_read

    assert_all_is_read(bundle)


@pytest.fixture(scope="session", autouse=True)
def decoded_images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is cached where the user's own images are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYML_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's own devices are neither read nor changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session", autouse=True)
def warm_worker() -> Iterator[None]:
    """Exports in this process share the processes of their steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyml.pipeline.steps.export_plan.Worker", WarmWorker)
        yield
    end()


@pytest.fixture
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process counts, whatever else runs: for tests that look at other things."""
    every = lambda processes, *_, **__: (tuple(processes), ())  # noqa: E731
    monkeypatch.setattr("tinyml.device.measure.split", every)


@pytest.fixture
def without_optional_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the reference engine of each format is timed, whatever is installed."""
    monkeypatch.setattr("tinyml.pipeline.bench_jobs.joining", lambda _: set())


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """For tests that send SIGINT: a shell that starts them in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def cli() -> Cli:
    """The command line in this process."""
    return tinyml


@pytest.fixture(scope="session")
def cli_process() -> Cli:
    """The command line in a process of its own."""
    return tinyml_process


def assert_done(done: Done) -> Done:
    """The command succeeded."""
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder: a narrow MobileNet after two epochs on a handful of shapes."""

    def make(folder: Path) -> None:
        recipe = folder / "images.toml"
        recipe.write_text(IMAGES, encoding="utf-8")
        assert_done(tinyml("train", recipe, "--out", folder / "run"))

    return shared_folder(tmp_path_factory, "image_run", make) / "run"


@pytest.fixture(scope="session")
def image_bundle(image_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `image_run`."""

    def make(folder: Path) -> None:
        out = folder / "images"
        done = assert_done(tinyml("export", image_run, "--target", "rpi", "--out", out))
        assert "60 of 60 images agree" in done.stdout
        _assert_all_is_read(out)

    return shared_folder(tmp_path_factory, "image_bundle", make) / "images"


@pytest.fixture(scope="session")
def recipe_text() -> str:
    return SOUNDS


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder: FunnelNet after two epochs on a handful of synthetic persons."""

    def make(folder: Path) -> None:
        recipe = folder / "small.toml"
        recipe.write_text(SOUNDS, encoding="utf-8")
        assert_done(tinyml_process("train", recipe, "--out", folder / "run"))

    return shared_folder(tmp_path_factory, "small_run", make) / "run"


@pytest.fixture(scope="session")
def small_bundle(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `small_run`; copy it before changing it."""

    def make(folder: Path) -> None:
        assert_done(tinyml("export", small_run, "--target", "rpi", "--out", folder / "small"))
        _assert_all_is_read(folder / "small")

    return shared_folder(tmp_path_factory, "small_bundle", make) / "small"


@pytest.fixture(scope="session")
def streaming_bundle(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `small_run` with its streaming graphs; copy it before changing it."""

    def make(folder: Path) -> None:
        more = ["--streaming", "--without-data", "--out", folder / "listens"]
        assert_done(tinyml("export", small_run, "--target", "rpi", *more))

    return shared_folder(tmp_path_factory, "streaming_bundle", make) / "listens"


@pytest.fixture
def bundle_copy(small_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_bundle, tmp_path / "bundle"))
