"""Decoded images are kept whole or not at all, whoever else is at it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import write_folder

from tinyml.core.errors import DataError
from tinyml.core.files import cache_folder
from tinyml.models.data import image_cache, image_folder
from tinyml.models.data.image_cache import UncachedSet, UncachedSplit, cached_set
from tinyml.models.data.images import Bytes, ImageSet

SHAPE = (4, 3)


def pictures(count: int, fail: bool = False) -> Iterator[Bytes]:
    for number in range(count):
        if fail and number == 2:
            raise DataError("the third is broken")
        yield np.full((4, 4, 3), number + 1, np.uint8)


def made(fail: bool = False) -> UncachedSet:
    return UncachedSet(
        ("a", "b"),
        UncachedSplit([0, 1, 0], pictures(3)),
        UncachedSplit([1, 0, 1], pictures(3, fail)),
        [],
        "s",
    )


def get(report: Any = None, key: object = 1, fail: bool = False) -> ImageSet:
    return cached_set("tiny", key, SHAPE, lambda: made(fail), report)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYML_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def entries(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if not path.name.endswith(".lock")]


def test_the_images_are_made_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = []
    monkeypatch.setattr(image_cache, "REPORTED", 2)
    one = get(events.append)
    assert [(event.done, event.total) for event in events] == [(2, 6), (4, 6), (6, 6)]
    again = get(events.append)
    assert len(events) == 3
    assert (again.labels, again.sha256, again.warnings) == (one.labels, "s", ())
    np.testing.assert_array_equal(again.training.labels, [0, 1, 0])
    np.testing.assert_array_equal(again.test.images[:, 0, 0, 0], [1, 2, 3])
    get(key=2)
    assert len(entries(cache)) == 2


@pytest.mark.parametrize("changed", ["code_digest", "_pillow"])
def test_images_of_other_code_are_made_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    get()
    monkeypatch.setattr(image_cache, changed, lambda *_: "another")
    get()
    assert len(entries(cache)) == 2


def test_torch_takes_them_without_a_warning_and_the_file_stays(cache: Path) -> None:
    import torch

    data = get()
    assert isinstance(data.training.images, np.memmap)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.from_numpy(data.training.images)[0] = 9
    assert get().training.images.max() == 3


def test_a_set_that_fails_leaves_nothing(cache: Path) -> None:
    with pytest.raises(DataError, match="third"):
        get(fail=True)
    assert entries(cache) == []
    assert len(get().test.labels) == 3


@pytest.mark.parametrize("file", ["training.npy", "test.npy", "facts.json"])
@pytest.mark.parametrize("how", ["cut", "changed", "gone"])
def test_a_changed_entry_is_made_again(cache: Path, file: str, how: str) -> None:
    get()
    path = entries(cache)[0] / file
    content = bytearray(path.read_bytes())
    content[len(content) - 20] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(content if how == "changed" else content[:-30])
    events: list[Any] = []
    again = get(events.append)
    assert events
    np.testing.assert_array_equal(again.test.images[:, 0, 0, 0], [1, 2, 3])
    assert len(entries(cache)) == 1


def test_labels_that_were_changed_are_noticed(cache: Path) -> None:
    get()
    path = entries(cache)[0] / "facts.json"
    facts = json.loads(path.read_text())
    facts["indices"]["test"] = [0, 0, 0]
    path.write_text(json.dumps(facts))
    np.testing.assert_array_equal(get().test.labels, [1, 0, 1])
    path.write_text("[]")
    np.testing.assert_array_equal(get().test.labels, [1, 0, 1])


def test_what_a_killed_process_left_is_swept(cache: Path) -> None:
    get()
    entry = entries(cache)[0]
    left = cache / f".{entry.name}.tmp-0123456789abcdef"
    left.mkdir()
    (left / "training.npy").write_bytes(b"half")
    (entry / "test.npy").unlink()
    get()
    assert entries(cache) == [entry]


def _load(root: str, queue: Any) -> None:
    data = image_folder.load({"root": root}, 0, side=16)
    queue.put((data.sha256, int(data.training.images.sum())))


def test_two_processes_at_once_get_the_same(tmp_path: Path, cache: Path) -> None:
    root = write_folder(tmp_path / "f", train=40)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_load, args=(str(root), queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = {queue.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(found) == 1
    assert len(entries(cache)) == 1


def test_the_cache_lies_where_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("TINYML_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/tinyml")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/me")
    assert cache_folder() == Path("/me/.cache/tinyml")


LOAD = """
import sys
from tinyml.core.errors import TinymlError
from tinyml.models.data import shapes
try:
    shapes.load({"limit": 20, "test_limit": 5}, 0)
except TinymlError as error:
    print(f"{error.message} | {error.hint}")
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(
    ("mount", "words"), [("size=64k", "No space left"), ("ro", "Read-only file system")]
)
def test_a_full_or_read_only_cache_is_the_machines_fault(
    tmp_path: Path, mount: str, words: str
) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not installed")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o {mount} none "$0" && exec "$@"'
    space = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(disk)]
    if subprocess.run([*space, "true"], capture_output=True, check=False).returncode:
        pytest.skip("private mount namespaces are not allowed here")
    done = subprocess.run(
        [*space, sys.executable, "-c", LOAD],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TINYML_CACHE": str(disk)},
    )
    assert done.returncode == 1, done.stderr
    assert words in done.stdout
    assert "set TINYML_CACHE to a folder" in done.stdout
    assert len(done.stdout.splitlines()) == 1
