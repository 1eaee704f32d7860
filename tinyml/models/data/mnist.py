"""MNIST: 60,000 + 10,000 grey handwritten digits of 28 x 28, in the idx files of its authors.

LeCun, Cortes, Burges, "The MNIST database of handwritten digits", 1998.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyml.core.errors import DataError, machine_errors, require
from tinyml.core.events import Report
from tinyml.core.files import canonical_json, sha256
from tinyml.core.spec import Options
from tinyml.models.data import decode
from tinyml.models.data.entry import DataSetEntry
from tinyml.models.data.image_cache import UncachedSet, UncachedSplit, cached_set
from tinyml.models.data.image_files import LIMITS, limits, located, sample_classes
from tinyml.models.data.images import Bytes, ImageSet
from tinyml.models.data.options import check_options

SIDE, CHANNELS = 28, 1
OPTIONS = {"root": str, **LIMITS}
LABELS = tuple("0123456789")
HINT = "set TINYML_DATA to the folder that holds mnist/, or give its folder with --data"
FILES = {
    "training": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def load(
    options: Options,
    seed: int,
    *,
    side: int | None = None,
    channels: int | None = None,
    report: Report | None = None,
) -> ImageSet:
    """The four idx.gz files at option ``root``, else in ``$TINYML_DATA/mnist``.

    ``limit`` and ``test_limit`` take so many images a class, drawn from ``seed``. Raises
    `DataError` naming a file that is missing, cut or something else.
    """
    check_options("mnist", options, OPTIONS)
    root = located("mnist", options, ("mnist",), HINT)
    for name in (name for pair in FILES.values() for name in pair):
        if not (root / name).is_file():
            raise DataError(f"{root} has no {name}", hint=HINT)
    shape, limit = (side or SIDE, channels or CHANNELS), limits("mnist", options)
    with machine_errors(f"reading {root}"):
        hashes = [sha256(root / name) for pair in FILES.values() for name in pair]
    key = [hashes, limit, seed if any(limit) else 0]
    return cached_set("mnist", key, shape, lambda: _uncached(root, shape, limit, seed, key), report)


def _uncached(
    root: Path, shape: tuple[int, int], limit: tuple[int, int], seed: int, key: Sequence[object]
) -> UncachedSet:
    if shape[0] != SIDE:
        require("PIL", "pillow", "images")
    parts = []
    for (images, labels), most in zip(FILES.values(), limit, strict=True):
        pixels, digits = _pair(root / images, root / labels)
        among = [np.flatnonzero(digits == digit) for digit in range(len(LABELS))]
        counts = {label: len(places) for label, places in zip(LABELS, among, strict=True)}
        places = sample_classes(counts, most, seed)
        order = sorted(int(at) for own, kept in zip(among, places, strict=True) for at in own[kept])
        parts.append(
            UncachedSplit([int(digits[at]) for at in order], _fitted(pixels, order, shape))
        )
    digest = hashlib.sha256(canonical_json([decode.VERSION, *shape, *key]).encode()).hexdigest()
    return UncachedSet(LABELS, parts[0], parts[1], [], digest)


def _fitted(pixels: Bytes, order: Sequence[int], shape: tuple[int, int]) -> Iterator[Bytes]:
    side, channels = shape
    for at in order:
        if side == SIDE:
            yield np.repeat(pixels[at][:, :, None], channels, axis=2)
        else:
            from PIL import Image

            yield decode.fit(Image.fromarray(pixels[at]), side, channels)


def _pair(images: Path, labels: Path) -> tuple[Bytes, Bytes]:
    pixels, digits = read_idx(images), read_idx(labels)
    if pixels.shape[1:] != (SIDE, SIDE) or digits.ndim != 1 or len(pixels) != len(digits):
        raise DataError(
            f"{images} holds {list(pixels.shape)} and {labels} {list(digits.shape)}: not MNIST"
        )
    if set(np.unique(digits)) != set(range(len(LABELS))):
        raise DataError(f"{labels} does not hold every digit from 0 to 9 and nothing else")
    return pixels, digits


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The bytes of an idx.gz file in its shape; `DataError` when it is cut or something else."""
    again = "copy or download it again"
    try:
        with machine_errors(f"reading {path}"):
            content = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is truncated or not a gzip file: {error}", hint=again) from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{path} is not an idx file of bytes", hint=again)
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    if len(content) != start + math.prod(shape):
        raise DataError(
            f"{path} is truncated: {len(content) - start} bytes for {list(shape)}", hint=again
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


ENTRY = DataSetEntry(
    name="mnist",
    kind="images",
    load=load,
)
