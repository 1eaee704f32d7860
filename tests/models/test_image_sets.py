"""Image sets: the same pixels from folder and archive, and a line for each that cannot be used."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from images import idx, jpeg, pack, write_folder, write_mnist

from tinyml.core.errors import DataError
from tinyml.models.data import cifar10, image_folder, mnist, shapes
from tinyml.models.data.images import ImageSet


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYML_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYML_DATA", raising=False)


def from_folder(root: Path, **options: int) -> ImageSet:
    return image_folder.load({"root": str(root), **options}, 0)


def test_a_folder_is_read_in_order_of_class_and_name(tmp_path: Path) -> None:
    data = from_folder(write_folder(tmp_path / "f"))
    assert (data.labels, data.side, data.channels) == (("cat", "dog"), 8, 3)
    assert data.training.images.shape == (6, 8, 8, 3)
    np.testing.assert_array_equal(data.training.labels, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(data.test.labels, [0, 0, 1, 1])
    assert data.warnings == ()


def test_an_archive_and_its_folder_are_the_same_set(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "f")
    archive = pack(root, tmp_path / "cifar10-jpeg.tar.gz")
    one = cifar10.load({"root": str(archive)}, 0)
    other = cifar10.load({"root": str(root)}, 0)
    assert one.sha256 == other.sha256
    assert one.training.images.shape == (6, 32, 32, 3)
    np.testing.assert_array_equal(one.training.images, other.training.images)
    np.testing.assert_array_equal(one.test.images, other.test.images)


def test_the_digest_follows_content_labels_and_side(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "a")
    one = from_folder(root)
    assert from_folder(write_folder(tmp_path / "b")).sha256 == one.sha256
    assert image_folder.load({"root": str(root)}, 0, side=4).sha256 != one.sha256
    assert image_folder.load({"root": str(root)}, 0, channels=1).sha256 != one.sha256
    (root / "train" / "cat" / "0000.jpg").write_bytes(jpeg(99))
    assert from_folder(root).sha256 != one.sha256


def test_a_limit_takes_as_many_of_each_class_and_more_hold_the_fewer(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "f", train=9)
    few, more = from_folder(root, limit=2), from_folder(root, limit=5)
    assert np.bincount(few.training.labels).tolist() == [2, 2]
    assert np.bincount(more.training.labels).tolist() == [5, 5]
    assert len(few.test.labels) == 4
    assert {i.tobytes() for i in few.training.images} < {i.tobytes() for i in more.training.images}
    again = image_folder.load({"root": str(root), "limit": 2}, 0)
    np.testing.assert_array_equal(again.training.images, few.training.images)
    others = [image_folder.load({"root": str(root), "limit": 2}, s).sha256 for s in range(4)]
    assert len(set(others)) > 1
    with pytest.raises(DataError, match="limit 10: class 'cat' has 9 images"):
        from_folder(root, limit=10)
    with pytest.raises(DataError, match="a limit of -1"):
        from_folder(root, limit=-1)


def test_grey_cmyk_and_png_files_are_converted_and_reported(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "f")
    (root / "train" / "cat" / "grey.jpg").write_bytes(jpeg(50, mode="L"))
    (root / "train" / "cat" / "cmyk.jpeg").write_bytes(jpeg(51, mode="CMYK"))
    (root / "train" / "cat" / "clear.PNG").write_bytes(jpeg(52, mode="RGBA", kind="PNG"))
    data = from_folder(root)
    assert data.training.images.shape == (9, 8, 8, 3)
    said = "; ".join(data.warnings)
    assert "1 of 9 images in train/ are CMYK: converted to RGB" in said
    assert "are L: converted" in said
    assert from_folder(root).warnings == data.warnings


def test_strange_files_and_images_of_both_parts_are_reported(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "f")
    (root / "train" / "cat" / "notes.txt").write_text("hello")
    (root / "train" / ".hidden").mkdir()
    (root / "test" / "cat" / "again.jpg").write_bytes(
        (root / "train" / "cat" / "0000.jpg").read_bytes()
    )
    said = "; ".join(from_folder(root).warnings)
    assert "1 files are not jpg" in said
    assert "notes.txt" in said
    assert "1 images are in train/ and in test/" in said


def break_image(root: Path) -> None:
    path = root / "test" / "dog" / "0001.jpg"
    path.write_bytes(path.read_bytes()[:300])


def empty_class(root: Path) -> None:
    (root / "train" / "bird").mkdir()
    (root / "test" / "bird").mkdir()


def drop(*parts: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for part in parts:
            folder = root / part
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            folder.rmdir()

    return change


def write_text(root: Path) -> None:
    (root / "train" / "cat" / "0001.jpg").write_text("not an image")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (break_image, r"dog/0001\.jpg is broken"),
        (write_text, r"cat/0001\.jpg is not a jpg, png or bmp"),
        (empty_class, "class 'bird' of train has no image"),
        (drop("test/dog"), "class 'dog' is missing from test/"),
        (drop("train/dog", "test/dog"), "1 classes to train on"),
        (drop("train/dog"), "1 classes to train on"),
        (drop("train"), "no folder .*train"),
        (drop("test"), "no folder .*test"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(
    tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    root = write_folder(tmp_path / "f")
    change(root)
    with pytest.raises(DataError, match=words):
        from_folder(root)
    left = [path for path in (tmp_path / "cache").rglob("*") if not path.name.endswith(".lock")]
    assert [path.name for path in left] in ([], ["images"])


def test_where_a_set_lies_must_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="has no folder of images"):
        image_folder.load({}, 0)
    with pytest.raises(DataError, match="is not a folder"):
        from_folder(tmp_path / "nowhere")
    for data in (cifar10, mnist):
        monkeypatch.delenv("TINYML_DATA", raising=False)
        with pytest.raises(DataError, match="TINYML_DATA is not set"):
            data.load({}, 0)
        monkeypatch.setenv("TINYML_DATA", str(tmp_path))
        with pytest.raises(DataError, match=f"in {tmp_path}"):
            data.load({}, 0)
        with pytest.raises(DataError, match="no such file or directory: /nowhere"):
            data.load({"root": "/nowhere"}, 0)
        with pytest.raises(DataError, match="no option 'rot'"):
            data.load({"rot": "x"}, 0)


def test_an_archive_that_is_cut_or_escapes_is_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "f")
    archive = pack(root, tmp_path / "a.tar.gz")
    whole = archive.read_bytes()
    cuts = (whole[:length] for length in range(0, len(whole), 97))
    flipped = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    for content in (*cuts, b"hello", whole[:-1], flipped):
        archive.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.tar\.gz is truncated or not a \.tar\.gz"):
            cifar10.load({"root": str(archive)}, 0)
    for name in ("../evil.jpg", "/train/cat/x.jpg", "train/../../cat/x.jpg", "train/cat/x.exe"):
        with tarfile.open(archive, "w:gz") as stream:
            stream.addfile(tarfile.TarInfo(name))
        with pytest.raises(DataError, match="is not train"):
            cifar10.load({"root": str(archive)}, 0)
    with tarfile.open(archive, "w:gz") as stream:
        link = tarfile.TarInfo("train/cat/0000.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        stream.addfile(link)
    with pytest.raises(DataError, match="is not train"):
        cifar10.load({"root": str(archive)}, 0)


def test_mnist_is_read_as_it_is_and_fitted_where_asked(tmp_path: Path) -> None:
    root = write_mnist(tmp_path / "m")
    data = mnist.load({"root": str(root)}, 0)
    raw = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)
    np.testing.assert_array_equal(data.training.images[..., 0], raw)
    np.testing.assert_array_equal(data.test.labels, np.arange(20) % 10)
    colour = mnist.load({"root": str(root)}, 0, channels=3)
    np.testing.assert_array_equal(colour.training.images, np.repeat(raw[..., None], 3, axis=3))
    assert mnist.load({"root": str(root)}, 0, side=32).test.images.shape == (20, 32, 32, 1)
    few = mnist.load({"root": str(root), "limit": 2, "test_limit": 1}, 0)
    assert np.bincount(few.training.labels).tolist() == [2] * 10
    assert np.bincount(few.test.labels).tolist() == [1] * 10


def test_mnist_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    root = write_mnist(tmp_path / "m")
    images, labels = root / "t10k-images-idx3-ubyte.gz", root / "t10k-labels-idx1-ubyte.gz"
    whole, marks = images.read_bytes(), labels.read_bytes()

    def refused(path: Path, content: bytes, words: str) -> None:
        path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            mnist.load({"root": str(root)}, 0)
        images.write_bytes(whole)
        labels.write_bytes(marks)

    refused(images, whole[:1000], r"t10k-images\S* is truncated")
    refused(images, b"hello", r"t10k-images\S* is truncated or not a gzip")
    refused(images, idx(np.zeros((20, 28, 27), np.uint8)), "not MNIST")
    refused(images, idx(np.zeros((19, 28, 28), np.uint8)), "not MNIST")
    refused(labels, idx(np.full(20, 11, np.uint8)), "every digit")
    refused(labels, marks[:20], r"t10k-labels\S* is truncated")
    labels.unlink()
    with pytest.raises(DataError, match="has no t10k-labels"):
        mnist.load({"root": str(root)}, 0)


def small_shapes(**more: int | None) -> ImageSet:
    return shapes.load({"limit": 30, "test_limit": 10}, 0, **more)


def test_shapes_follow_from_the_seed_alone() -> None:
    one = small_shapes()
    assert one.training.images.shape == (300, 32, 32, 3)
    assert np.bincount(one.test.labels).tolist() == [10] * 10
    again = shapes.load({"limit": 30, "test_limit": 11}, 0)
    np.testing.assert_array_equal(again.training.images, one.training.images)
    other = shapes.load({"limit": 30, "test_limit": 10}, 1)
    assert (other.training.images != one.training.images).mean() > 0.9
    assert other.sha256 != one.sha256
    assert small_shapes(side=20, channels=1).test.images.shape == (100, 20, 20, 1)
    with pytest.raises(DataError, match="no end"):
        shapes.load({"limit": 0}, 0)


def test_neither_mean_colour_nor_single_pixels_tell_the_shapes_apart() -> None:
    data = shapes.load({"limit": 200, "test_limit": 50}, 0)
    truth = data.test.labels

    def nearest(training: np.ndarray, test: np.ndarray) -> float:
        means = np.stack([training[data.training.labels == c].mean(axis=0) for c in range(10)])
        distances = ((test[:, None] - means[None]) ** 2).sum(axis=-1)
        return float((distances.argmin(axis=1) == truth).mean())

    pixels = [
        part.images.reshape(len(part.images), -1) / 255 for part in (data.training, data.test)
    ]
    colours = [part.images.mean(axis=(1, 2)) / 255 for part in (data.training, data.test)]
    assert nearest(*pixels) < 0.2
    assert nearest(*colours) < 0.2


@pytest.mark.skipif(
    not os.path.isfile(os.path.join(os.environ.get("TINYML_DATA", ""), "cifar10-jpeg.tar.gz")),
    reason="TINYML_DATA does not say where cifar10-jpeg.tar.gz lies",
)
def test_the_real_cifar_and_mnist_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYML_DATA", REAL)
    data = cifar10.load({"limit": 20, "test_limit": 10}, 0)
    assert len(data.labels) == 10
    assert data.training.images.shape == (200, 32, 32, 3)
    digits = mnist.load({}, 0)
    assert (len(digits.training.labels), len(digits.test.labels)) == (60000, 10000)


REAL = os.environ.get("TINYML_DATA", "")
