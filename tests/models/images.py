"""Small image sets as files, for the tests."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog")


def jpeg(seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB", kind: str = "JPEG") -> bytes:
    """An image of blurred noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR).convert(mode)
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return stream.getvalue()


def write_folder(root: Path, train: int = 3, test: int = 2, size: tuple[int, int] = (8, 8)) -> Path:
    """``train|test/<class>/NNNN.jpg``, no image twice."""
    seed = 0
    for part, count in (("train", train), ("test", test)):
        for name in CLASSES:
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                seed += 1
                (root / part / name / f"{number:04d}.jpg").write_bytes(jpeg(seed, size))
    return root


def pack(root: Path, archive: Path) -> Path:
    """The folder ``root`` as a .tar.gz."""
    with tarfile.open(archive, "w:gz") as stream:
        for path in sorted(root.rglob("*.jpg")):
            stream.add(path, str(path.relative_to(root)))
    return archive


def idx(array: np.ndarray) -> bytes:
    """``array`` of bytes as the content of an idx.gz file."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(head + array.tobytes())


def write_mnist(root: Path, train: int = 30, test: int = 20) -> Path:
    """The four files of MNIST with noise for digits."""
    root.mkdir(parents=True)
    random = np.random.default_rng(0)
    for stem, count in (("train", train), ("t10k", test)):
        pixels = random.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (root / f"{stem}-images-idx3-ubyte.gz").write_bytes(idx(pixels))
        (root / f"{stem}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    return root
